// SPDX-License-Identifier: GPL-2.0

//! Dirty rings: a page that was taken out is there again after the guest's next write to it, whatever came between. A
//! reset changes nothing of slots that are not logged.

use super::{reported, test};
use crate::harness::Test;
use anyhow::{bail, ensure, Context, Result};
use kvm_bindings::KVM_MEM_LOG_DIRTY_PAGES as LOG;
use kvmtest::cpu;
use kvmtest::interrupt::Thread;
use kvmtest::memory::{Backing, Memory, PAGE_2M, PAGE_4K};
use kvmtest::ring::{self, Ring};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{eager_split, Slot, Vm, LOG_INITIALLY_SET};
use std::hint;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

pub const TESTS: &[Test] = &[
    test("dirty_ring_interrupted", interrupted),
    test("dirty_ring_smaller_slot", smaller_slot),
    reported(
        "14-ring-slot-not-logged",
        "dirty_ring_left_over",
        |backend| not_logged(backend, Whence::LeftOver),
    ),
    reported("14-ring-slot-not-logged", "dirty_ring_forged", |backend| {
        not_logged(backend, Whence::Forged)
    }),
];

/// So many that KVM is some time at them.
const PAGES: u64 = 10_007;
/// Pages from one that the guest writes to, to the next: KVM resets nearer ones together, and has done all of them
/// before a busy machine lets another thread send a signal.
const APART: u64 = 64;
const ENTRIES: u64 = 1 << 14;
/// Resets that a signal has to end in the middle. Each loses a page on a kernel that does so.
const INTERRUPTED: u32 = 3;
/// A busy machine may bring a signal when the reset is over.
const ROUNDS: u32 = 100;

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

    /// Resets all. As soon as each reset has begun, somebody `elsewhere` sends `this` a signal. Says how many ended in
    /// the middle.
    fn reset_under_signals(&self, this: Thread, elsewhere: usize) -> Result<u32> {
        let (mut left, mut ended_early) = (PAGES, 0);
        while left > 0 {
            let (watched, over) = (AtomicBool::new(false), AtomicBool::new(false));
            let signal = || {
                let stays = cpu::stay_on(elsewhere);
                watched.store(true, SeqCst);
                stays?;
                while !self.ring.is_reset(left)? && !over.load(SeqCst) {
                    hint::spin_loop();
                }
                this.interrupt()
            };
            let done = thread::scope(|scope| {
                let signal = scope.spawn(signal);
                // A thread takes longer to begin than a reset to end.
                while !watched.load(SeqCst) {
                    hint::spin_loop();
                }
                let done = ring::reset(&self.vm);
                over.store(true, SeqCst);
                signal.join().expect("no panic").and(done)
            })?;
            ensure!(done <= left, "{done} of {left} pages were reset");
            left -= done;
            ended_early += u32::from(done > 0 && left > 0);
        }
        Ok(ended_early)
    }

    /// The guest writes to these pages, which are then in the ring, and no others.
    fn write(&mut self, pages: u64, round: u32) -> Result<()> {
        let end = self.slot.gpa + pages * PAGE_4K;
        for first in 0..pages.min(APART) {
            let range = self.slot.gpa + first * PAGE_4K..end;
            self.vcpu.fill_some(&range, APART, round)?;
        }
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

/// Signals end the reset of a ring in the middle, and it is begun again. This is done until there were enough.
fn interrupted(backend: &str) -> Result<()> {
    let mut guest = Ringed::new(backend)?;
    let (this, cpus) = (Thread::this()?, cpu::allowed()?);
    let [here, elsewhere, ..] = cpus[..] else {
        bail!("a signal that comes in the middle needs two processors");
    };
    cpu::stay_on(here)?;
    let (mut ended_early, mut round) = (0, 0);
    while ended_early < INTERRUPTED {
        ensure!(round < ROUNDS, "{ended_early} resets have ended early");
        round += 1;
        let written = guest.write(PAGES, round);
        written.with_context(|| format!("after {ended_early} resets that a signal has ended"))?;
        ended_early += guest.reset_under_signals(this, elsewhere)?;
    }
    println!("# {ended_early} of them, in {round} rounds");
    guest.write(PAGES, round + 1)
}

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

/// Why a ring has an entry for a page of a slot that is not logged.
#[derive(PartialEq)]
enum Whence {
    /// The slot was logged when the guest wrote to the page.
    LeftOver,
    /// Userspace has made it out of another one.
    Forged,
}

/// The ring is reset. The slot's huge page stays what it is. It would be split where logs begin with all bits set.
fn not_logged(backend: &str, whence: Whence) -> Result<()> {
    let memory = Memory::new(PAGE_2M, Backing::Huge)?;
    let slot = Slot::of(&memory);
    let vm = Vm::new(backend)?;
    vm.set_log_mode(LOG_INITIALLY_SET)?;
    Ring::enable(&vm, ENTRIES)?;
    let _split = eager_split(true)?;
    let mut vcpu = vm.vcpu(0)?;
    let mut ring = Ring::of(&vcpu, ENTRIES)?;

    // Of one page.
    let logged = Slot {
        size: PAGE_4K,
        ..slot
    };
    match whence {
        Whence::LeftOver => {
            vm.set(&slot, LOG)?;
            vcpu.fill(&logged.range(), 1)?;
            let found = ring.collect()?;
            ensure!(found == [(slot.id, 0)], "the ring has {found:?}");
            vm.set(&slot, 0)?;
            vcpu.fill(&slot.range(), 2)?;
        }
        Whence::Forged => {
            vm.set(&logged, LOG)?;
            vcpu.fill(&logged.range(), 1)?;
            vm.delete(&logged)?;
            vm.set(&slot, 0)?;
            vcpu.fill(&slot.range(), 2)?;
            ring.forge(slot.id, slot.size / PAGE_4K - 1)?;
        }
    }
    let before = vm.mapped()?;
    ensure!(
        before == [1, 1, 0],
        "a page of programs and a huge one are to be there, and {before:?} are"
    );
    let done = ring::reset(&vm)?;
    ensure!(done == 1, "{done} entries were reset");
    let after = vm.mapped()?;
    ensure!(
        after == before,
        "a reset has changed a slot that is not logged: {before:?} pages were mapped, {after:?} are"
    );
    Ok(())
}
