// SPDX-License-Identifier: GPL-2.0

//! Threads that are interrupted in the kernel, by a signal that does nothing else.

use anyhow::{ensure, Result};
use std::io::Error;
use std::mem::zeroed;
use std::ptr;

/// A thread of this process that takes no harm from the signal.
#[derive(Clone, Copy)]
pub struct Thread(i32);

impl Thread {
    /// The one that asks.
    pub fn this() -> Result<Self> {
        // SAFETY: all zeros is an action without flags, with nothing blocked meanwhile.
        let mut action: libc::sigaction = unsafe { zeroed() };
        action.sa_sigaction = nothing as *const () as usize;
        // SAFETY: the handler may run at any time, and the action is as the kernel wants it.
        let failed = unsafe { libc::sigaction(libc::SIGUSR1, &action, ptr::null_mut()) };
        ensure!(failed == 0, "sigaction: {}", Error::last_os_error());
        Ok(Self(rustix::thread::gettid().as_raw_nonzero().get()))
    }

    /// Ends what it does in the kernel.
    pub fn interrupt(self) -> Result<()> {
        // SAFETY: the call takes no pointer. The signal has a handler, and no process but this one gets it.
        let failed =
            unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), self.0, libc::SIGUSR1) };
        ensure!(failed == 0, "tgkill: {}", Error::last_os_error());
        Ok(())
    }
}

extern "C" fn nothing(_: libc::c_int) {}

#[cfg(test)]
mod tests {
    use super::Thread;
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::{Duration, Instant};

    #[test]
    fn a_call_ends() {
        let (send, receive) = channel();
        let begin = Instant::now();
        let sleeps = thread::spawn(move || {
            let this = Thread::this().expect("a handler");
            send.send(this).expect("somebody listens");
            let long = libc::timespec {
                tv_sec: 60,
                tv_nsec: 0,
            };
            // SAFETY: the kernel reads the time, and writes nothing.
            unsafe { libc::nanosleep(&long, std::ptr::null_mut()) }
        });
        let thread = receive.recv().expect("it tells who it is");
        while !sleeps.is_finished() {
            // It may not sleep yet, or no more.
            let _ = thread.interrupt();
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(sleeps.join().expect("no panic"), -1);
        assert!(begin.elapsed() < Duration::from_secs(60));
    }
}
