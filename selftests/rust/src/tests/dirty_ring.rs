// SPDX-License-Identifier: GPL-2.0

//! Dirty rings: a page that was taken out is there again after the guest's next write to it, whatever came between.

use super::test;
use crate::clock::wait_for;
use crate::harness::Test;
use anyhow::{ensure, Context, Result};
use kvm_bindings::KVM_MEM_LOG_DIRTY_PAGES as LOG;
use kvmtest::memory::{Backing, Memory, PAGE_4K};
use kvmtest::ring::{self, Ring};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Slot, Vm};
use std::io::Error;
use std::mem;
use std::ptr;

pub const TESTS: &[Test] = &[
    test("dirty_ring_interrupted", interrupted),
    test("dirty_ring_smaller_slot", smaller_slot),
];

/// So many that KVM is some time at them, and no whole number of its groups of 64.
const PAGES: u64 = 10_007;
const ENTRIES: u64 = 1 << 14;
/// Resets that a signal has to end in the middle. Each loses a page on a kernel that does so.
const INTERRUPTED: u32 = 10;
/// Microseconds until the first signal comes: time to begin a reset, but not to end it.
const FIRST: i64 = 20;

/// A VM whose vCPU has a ring.
struct Ringed {
    vm: Vm,
    vcpu: Vcpu,
    ring: Ring,
    slot: Slot,
    _memory: Memory,
}

impl Ringed {
    fn new(backend: &str) -> Result<Self> {
        let memory = Memory::new(PAGES * PAGE_4K, Backing::Small)?;
        let slot = Slot::of(&memory);
        let vm = Vm::new(backend)?;
        Ring::enable(&vm, ENTRIES)?;
        vm.set(&slot, LOG)?;
        let vcpu = vm.vcpu(0)?;
        Ok(Self {
            ring: Ring::of(&vcpu, ENTRIES)?,
            vm,
            vcpu,
            slot,
            _memory: memory,
        })
    }

    /// The guest writes to these pages, which are then in the ring, and no others.
    fn write(&mut self, pages: u64, round: u32) -> Result<()> {
        let range = self.slot.gpa..self.slot.gpa + pages * PAGE_4K;
        self.vcpu.fill(&range, round)?;
        let mut found = self.ring.collect()?;
        found.sort_unstable();
        let written = (0..pages).map(|page| (self.slot.id, page));
        let lost = written.filter(|page| found.binary_search(page).is_err());
        let lost = lost.count() as u64;
        ensure!(
            lost == 0 && found.len() as u64 == pages,
            "the ring has {} pages, and lacks {lost} of {pages}",
            found.len()
        );
        Ok(())
    }
}

/// A signal ends the reset of a ring in the middle, and it is begun again. This is done until there were enough.
fn interrupted(backend: &str) -> Result<()> {
    let mut guest = Ringed::new(backend)?;
    let _handled = Handled::new()?;
    let (mut ended_early, mut round) = (0, 0);
    wait_for("signals end resets in the middle", || {
        round += 1;
        let written = guest.write(PAGES, round);
        written.with_context(|| format!("after {ended_early} resets that a signal has ended"))?;
        ended_early += reset_under_signals(&guest.vm)?;
        Ok(ended_early >= INTERRUPTED)
    })?;
    println!("# {ended_early} of them, in {round} rounds");
    guest.write(PAGES, round + 1)
}

/// Resets all, and says how often that ended in the middle. The next signal comes later if one was too early.
fn reset_under_signals(vm: &Vm) -> Result<u32> {
    let (mut left, mut ended_early, mut time) = (PAGES, 0, FIRST);
    while left > 0 {
        signal_after(time)?;
        let done = ring::reset(vm)?;
        ensure!(done <= left, "{done} of {left} pages were reset");
        left -= done;
        ended_early += u32::from(done > 0 && left > 0);
        if done == 0 {
            time *= 2;
        }
    }
    signal_after(0).map(|()| ended_early)
}

/// Sends this process a signal after so many microseconds, and none for 0.
fn signal_after(micros: i64) -> Result<()> {
    let at = |micros| libc::timeval {
        tv_sec: micros / 1_000_000,
        tv_usec: micros % 1_000_000,
    };
    let once = libc::itimerval {
        it_interval: at(0),
        it_value: at(micros),
    };
    // SAFETY: the kernel reads the time. There is a handler for the signal.
    let failed = unsafe { libc::setitimer(libc::ITIMER_REAL, &once, ptr::null_mut()) };
    ensure!(failed == 0, "setitimer: {}", Error::last_os_error());
    Ok(())
}

/// As long as it lives, a signal does nothing but to end what its thread waits for.
struct Handled(libc::sigaction);

impl Handled {
    fn new() -> Result<Self> {
        let handler: extern "C" fn(i32) = on_signal;
        // SAFETY: all bytes 0 are no flags, no handler and no signals blocked.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        action.sa_sigaction = handler as usize;
        let mut old = action;
        // SAFETY: the handler has the type that goes without flags, and does nothing.
        let failed = unsafe { libc::sigaction(libc::SIGALRM, &action, &mut old) };
        ensure!(failed == 0, "sigaction: {}", Error::last_os_error());
        Ok(Self(old))
    }
}

impl Drop for Handled {
    fn drop(&mut self) {
        signal_after(0).expect("a timer can be stopped");
        // SAFETY: this is what was there before.
        unsafe { libc::sigaction(libc::SIGALRM, &self.0, ptr::null_mut()) };
    }
}

extern "C" fn on_signal(_: i32) {}

/// A page of a slot that is no more was not taken out when a smaller slot with its number came. It is near a page of the
/// new slot, which must not suffer from it.
fn smaller_slot(backend: &str) -> Result<()> {
    const SMALL: u64 = 8;
    let mut guest = Ringed::new(backend)?;
    let old = guest.slot;
    guest.slot.size = SMALL * PAGE_4K;
    guest.vcpu.fill(
        &(old.gpa + guest.slot.size..old.gpa + 2 * guest.slot.size),
        1,
    )?;
    guest.vm.delete(&old)?;
    guest.vm.set(&guest.slot, LOG)?;
    guest.vcpu.fill(&guest.slot.range(), 2)?;
    let found = guest.ring.collect()?.len() as u64;
    ensure!(found == 2 * SMALL, "{found} pages in the ring");
    let done = ring::reset(&guest.vm)?;
    ensure!(done == found, "{done} of {found} pages were reset");
    guest.write(SMALL, 3)
}
