// SPDX-License-Identifier: GPL-2.0

//! The memory of a process that is being killed is taken by others, who must not sleep meanwhile.
//!
//! The kernel does so when it is out of memory, and for who asks with process_mrelease(): both go the
//! same way. Only the second says nothing in the kernel log.

use super::{beside_other_slot, long, test};
use crate::clock::wait_for;
use crate::harness::{Skip, Test};
use anyhow::{bail, ensure, Context, Result};
use kvmtest::backend;
use kvmtest::debugfs;
use kvmtest::guest::{self, Pattern, Program};
use kvmtest::memory::{Backing, Memory, MIB, PAGE_4K};
use kvmtest::vm::{Slot, Vm};
use std::convert::Infallible;
use std::io::Error;
use std::ops::Range;
use std::thread::sleep;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    test("invalidation_not_blockable", |backend| {
        taken_from(backend, 1, waits)
    }),
    long("reaper_running", |backend| taken_from(backend, 3, runs)),
];

/// So many processes are killed at most.
const PROCESSES: u32 = 20;

/// What a process does with a VM until it is killed. It calls its argument when it is ready.
type Life = fn(&str, &dyn Fn()) -> Result<Infallible>;

/// Kills processes with a VM until the memory of so many was taken before they had given it up
/// themselves. Their VMs and what these had of memory are gone then.
fn taken_from(backend: &str, times: u32, life: Life) -> Result<()> {
    let before = (backend::count(backend)?.alive, debugfs::held()?);
    let mut taken = 0;
    for _ in 0..PROCESSES {
        taken += u32::from(reaped(backend, life)?);
        wait_for("the VM goes with its process", || {
            Ok((backend::count(backend)?.alive, debugfs::held()?) == before)
        })?;
        if taken == times {
            return Ok(());
        }
    }
    bail!(Skip(
        "processes end before others get at their memory".into()
    ))
}

/// Whether the memory of a process with a VM was taken before it had given it up itself.
fn reaped(backend: &str, life: Life) -> Result<bool> {
    let mut ready = [0; 2];
    // SAFETY: `ready` has room for two descriptors.
    ensure!(unsafe { libc::pipe(ready.as_mut_ptr()) } == 0, "pipe");
    // SAFETY: the test has no other thread, so the child may go on as the parent would.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let say = || {
            // SAFETY: one byte of a constant. Without it the parent fails.
            unsafe { libc::write(ready[1], c"!".as_ptr().cast(), 1) };
        };
        let Err(error) = life(backend, &say);
        eprintln!("# the victim does not live: {error:#}");
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(1) };
    }
    ensure!(child > 0, "fork: {}", Error::last_os_error());
    let mut byte = 0_u8;
    // SAFETY: `byte` is one byte, and the descriptors are this function's own.
    let read = unsafe {
        libc::close(ready[1]);
        let read = libc::read(ready[0], (&raw mut byte).cast(), 1);
        libc::close(ready[0]);
        read
    };
    let result = if read == 1 { reap(child) } else { Ok(false) };
    let mut status = 0;
    // SAFETY: `status` is this function's own.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, &mut status, 0);
    }
    ensure!(
        read == 1 && libc::WIFSIGNALED(status),
        "the victim ended on its own"
    );
    result
}

/// Has a VM with memory, and waits for its end.
fn waits(backend: &str, ready: &dyn Fn()) -> Result<Infallible> {
    let memory = Memory::new(64 * MIB, Backing::Small)?;
    let (_vm, vcpu) = Vm::with(backend, &memory)?;
    vcpu.populate(&Slot::of(&memory).range())?;
    ready();
    loop {
        sleep(Duration::from_secs(1));
    }
}

/// Runs two vCPUs that write to the VM's memory and check it, while a slot comes and goes.
fn runs(backend: &str, ready: &dyn Fn()) -> Result<Infallible> {
    let memory = Memory::new(64 * MIB, Backing::Small)?;
    let (vm, mut first) = Vm::with(backend, &memory)?;
    let mut second = vm.vcpu(1)?;
    let all = Slot::of(&memory).range();
    first.fill(&all, 1)?;
    let advance =
        |part: Range<u64>| guest::pass(Program::Advance, &part, PAGE_4K, Pattern::Distinct, 1);
    let middle = all.start + memory.size() / 2;
    let mut guests = [
        (&mut first, advance(all.start..middle)),
        (&mut second, advance(middle..all.end)),
    ];
    let host = || {
        wait_for("the guests write", || {
            let written = |gpa| u64::from(memory.load(gpa - all.start)) != gpa + 1;
            Ok(written(all.start) && written(middle))
        })?;
        ready();
        loop {
            sleep(Duration::from_secs(1));
        }
    };
    beside_other_slot(&vm, || vm.during(&mut guests, host)).map(|(never, _)| never)
}

/// Kills a process and takes its memory.
fn reap(process: i32) -> Result<bool> {
    // SAFETY: system calls that take numbers; the descriptor is this function's own.
    let (descriptor, taken) = unsafe {
        let descriptor = libc::syscall(libc::SYS_pidfd_open, process, 0);
        libc::kill(process, libc::SIGKILL);
        let taken = libc::syscall(libc::SYS_process_mrelease, descriptor, 0);
        (descriptor, taken)
    };
    let error = Error::last_os_error();
    // SAFETY: nobody else has it.
    unsafe { libc::close(descriptor as i32) };
    match (taken, error.raw_os_error()) {
        (0, _) => Ok(true),
        // It was faster.
        (_, Some(libc::ESRCH)) => Ok(false),
        _ => Err(error).context("process_mrelease"),
    }
}
