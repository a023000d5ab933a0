// SPDX-License-Identifier: GPL-2.0

//! A process that waits in the kernel for somebody who does not get on, and is killed there.
//!
//! A thread does its work again and again on one processor, until another thread, which goes first,
//! keeps it there in the middle. A process of the same memory waits for it, on the other processor.

use crate::clock::wait_for;
use crate::harness::Skip;
use anyhow::{bail, ensure, Result};
use kvmtest::cpu;
use std::ffi::{c_int, c_void};
use std::hint::spin_loop;
use std::io::Error;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// So long the work goes on before it is kept.
const WORK: Duration = Duration::from_millis(20);
/// Who has not come back after so long waits.
const WAIT: Duration = Duration::from_millis(300);
/// The same on a machine that is too busy for that.
const LONG_WAIT: Duration = Duration::from_secs(2);
/// So long it may take to die, on a slow machine that others use too.
const DEATH: Duration = Duration::from_secs(3);
/// From one look to the next.
const MOMENT: Duration = Duration::from_millis(1);
const STACK: usize = 256 << 10;

/// What a process does.
pub type Call<'a> = &'a (dyn Fn() -> bool + Sync);

/// Whether a process that waits for `work` can be killed meanwhile. `None` if it did not wait: `work`
/// was not in the middle of anything.
pub fn dies(work: impl Fn() -> Result<()> + Sync, wait: Call<'_>) -> Result<Option<bool>> {
    let [here, there, ..] = cpu::allowed()?[..] else {
        bail!(Skip("this needs two processors".into()));
    };
    let over = AtomicBool::new(false);
    let is_over = || over.load(SeqCst);
    thread::scope(|scope| {
        let worker = scope.spawn(|| -> Result<()> {
            cpu::stay_on(there)?;
            cpu::go_first(1)?;
            while !is_over() {
                work()?;
            }
            Ok(())
        });
        let keeper = scope.spawn(|| -> Result<()> {
            cpu::stay_on(there)?;
            cpu::go_first(2)?;
            sleep(WORK);
            while !is_over() {
                spin_loop();
            }
            Ok(())
        });
        let killer = scope.spawn(|| {
            let died = kill_while_kept(here, wait);
            over.store(true, SeqCst);
            died.map(|(died, _wait_for_their_ends)| died)
        });
        let join = |ended: thread::Result<Result<()>>| ended.expect("no panics here");
        join(worker.join())?;
        join(keeper.join())?;
        killer.join().expect("no panics here")
    })
}

/// Also gives the processes, which may not end before they need not wait any more.
fn kill_while_kept(cpu: usize, wait: Call<'_>) -> Result<(Option<bool>, Vec<Process<'_>>)> {
    cpu::stay_on(cpu)?;
    sleep(2 * WORK);
    let first = Process::start(wait)?;
    if !first.waits(WAIT)? {
        return Ok((None, vec![first]));
    }
    if !first.dies()? {
        return Ok((Some(false), vec![first]));
    }
    // It may have been slow, and have had nothing to wait for. Then the next one need not wait.
    let second = Process::start(wait)?;
    let waited = second.waits(LONG_WAIT)?;
    let died = second.dies()?;
    Ok((waited.then_some(died), vec![first, second]))
}

/// A child that shares this process's memory, and so may use its VMs, but can be killed alone.
struct Process<'a> {
    id: i32,
    does: Box<Does<'a>>,
    _stack: Vec<u8>,
}

/// What it does, and whether it has begun to.
struct Does<'a> {
    call: Call<'a>,
    begun: AtomicBool,
}

impl<'a> Process<'a> {
    fn start(call: Call<'a>) -> Result<Self> {
        extern "C" fn run(does: *mut c_void) -> c_int {
            // SAFETY: it is what clone() got below, and lives as long as the process.
            let does = unsafe { &*does.cast::<Does<'_>>() };
            does.begun.store(true, SeqCst);
            c_int::from(!(does.call)())
        }
        let begun = AtomicBool::new(false);
        let does = Box::new(Does { call, begun });
        let mut stack = vec![0; STACK];
        let argument = std::ptr::from_ref(&*does).cast_mut().cast();
        // SAFETY: the stack and the argument outlive the process, which `drop` waits for. The process
        // has the thread-local data of this thread: it makes one call to the kernel, and uses none.
        let id = unsafe {
            let top = stack.as_mut_ptr().add(STACK);
            libc::clone(run, top.cast(), libc::CLONE_VM | libc::SIGCHLD, argument)
        };
        ensure!(id > 0, "clone: {}", Error::last_os_error());
        Ok(Self {
            id,
            does,
            _stack: stack,
        })
    }

    /// Whether it has not come back so long after it has begun.
    fn waits(&self, long: Duration) -> Result<bool> {
        wait_for("the process to run", || Ok(self.does.begun.load(SeqCst)))?;
        let begin = Instant::now();
        while begin.elapsed() < long {
            if self.has_ended()? {
                return Ok(false);
            }
            sleep(MOMENT);
        }
        Ok(true)
    }

    /// Kills it. Returns whether it is gone soon.
    fn dies(&self) -> Result<bool> {
        // SAFETY: the process is this one's child, and not waited for yet.
        unsafe { libc::kill(self.id, libc::SIGKILL) };
        let begin = Instant::now();
        while !self.has_ended()? {
            if begin.elapsed() > DEATH {
                return Ok(false);
            }
            sleep(MOMENT);
        }
        Ok(true)
    }

    /// Whether it has ended; it stays there to be waited for.
    fn has_ended(&self) -> Result<bool> {
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: all zeros is a value of this type, which the call fills.
        let (failed, process) = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let failed = libc::waitid(libc::P_PID, self.id as u32, &mut info, flags);
            (failed, info.si_pid())
        };
        ensure!(failed == 0, "waitid: {}", Error::last_os_error());
        Ok(process == self.id)
    }
}

impl Drop for Process<'_> {
    fn drop(&mut self) {
        // SAFETY: the process is this one's child, and the kernel writes nothing.
        unsafe { libc::waitpid(self.id, std::ptr::null_mut(), 0) };
    }
}
