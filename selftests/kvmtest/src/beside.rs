// SPDX-License-Identifier: GPL-2.0

//! Work that goes on in other threads while something else happens.

use anyhow::Result;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::Barrier;
use std::thread;

/// Goes on with `work` in so many threads while `host` runs, which begins when all of them have. Each does it at
/// least once.
pub fn beside<T>(
    threads: usize,
    work: impl Fn() -> Result<()> + Sync,
    host: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let (over, begin) = (AtomicBool::new(false), Barrier::new(threads + 1));
    let until_over = || -> Result<()> {
        begin.wait();
        work()?;
        while !over.load(SeqCst) {
            work()?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(until_over)).collect();
        let end = End(&over);
        begin.wait();
        let done = host();
        drop(end);
        for worker in workers {
            worker.join().expect("workers do not panic")?;
        }
        done
    })
}

/// Ends the work, even if the host's part panics.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::beside;
    use anyhow::{bail, Result};
    use std::panic::catch_unwind;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    use std::thread::yield_now;

    /// Waits until the work was begun so often.
    fn wait_for(begun: &AtomicU32, times: u32) {
        while begun.load(SeqCst) < times {
            yield_now();
        }
    }

    #[test]
    fn the_work_goes_on_until_the_host_is_done() {
        let begun = AtomicU32::new(0);
        let host = || {
            wait_for(&begun, 3);
            Ok(7)
        };
        let work = || {
            begun.fetch_add(1, SeqCst);
            Ok(())
        };
        assert_eq!(beside(1, work, host).expect("no error"), 7);
    }

    #[test]
    fn a_panic_of_the_host_ends_the_work() {
        let host = || -> Result<()> { panic!("this is the host's") };
        assert!(catch_unwind(|| beside(1, || Ok(()), host)).is_err());
    }

    #[test]
    fn an_error_of_the_work_counts() {
        let begun = AtomicU32::new(0);
        let work = || {
            begun.fetch_add(1, SeqCst);
            bail!("this is the work's")
        };
        let host = || {
            wait_for(&begun, 1);
            Ok(())
        };
        let error = beside(1, work, host).expect_err("an error");
        assert_eq!(error.to_string(), "this is the work's");
    }
}
