// SPDX-License-Identifier: GPL-2.0

//! What the host does to the pages that the kernel writes to.

use super::machine::{Machine, TIMES, USED};
use crate::clock::wait_for;
use crate::rng::Rng;
use anyhow::{ensure, Context, Result};
use kvm_bindings::KVM_MEM_LOG_DIRTY_PAGES as LOG;
use kvmtest::memory::{Backing, Memory, Rights, MIB, PAGE_2M, PAGE_4K};
use kvmtest::sysfs;
use kvmtest::userfault::{Kind, Userfault};
use kvmtest::vm::Slot;
use std::ops::Range;
use std::sync::atomic::Ordering::SeqCst;
use std::thread::sleep;
use std::time::Duration;

/// So long a state of things lasts: vCPUs are entered meanwhile.
const WHILE: Duration = Duration::from_millis(3);
const MARK: u32 = 0xdead_beef;

/// One kind of operation.
pub struct Op {
    /// Its name in reports.
    pub name: &'static str,
    /// The kinds of memory with which it works.
    on: &'static [Backing],
    run: fn(&Machine, &Range<u64>) -> Result<()>,
}

const ALL: &[Backing] = &[Backing::Small, Backing::Huge, Backing::Pool, Backing::File];
const ANONYMOUS: &[Backing] = &[Backing::Small, Backing::Huge, Backing::Pool];
const SMALL: &[Backing] = &[Backing::Small, Backing::Huge];

/// The first ones are for kept memory, the last for memory that is taken away.
pub const OPS: &[Op] = &[
    op("read-only", ALL, read_only),
    op("moved away and back", SMALL, move_and_back),
    op("forked", ANONYMOUS, fork),
    op("collapsed", SMALL, collapse),
    op("compacted", ALL, compact),
    op("slot deleted", ALL, delete_slot),
    op("slot moved", ALL, move_slot),
    op("logged", ALL, log),
    op("discarded", ALL, discard),
    op("replaced", ALL, replace),
    op("taken", ALL, take),
    op("waited for", ALL, wait_for_pages),
];

const fn op(
    name: &'static str,
    on: &'static [Backing],
    run: fn(&Machine, &Range<u64>) -> Result<()>,
) -> Op {
    Op { name, on, run }
}

impl Op {
    /// Whether it works with such memory.
    pub fn is_for(&self, backing: Backing) -> bool {
        self.on.contains(&backing)
    }

    /// Does it once.
    pub fn run(&self, machine: &Machine, backing: Backing, rng: &mut Rng) -> Result<()> {
        // No part of a huge page from the pool can be protected.
        let range = match backing {
            Backing::Pool => 0..machine.kept.size(),
            _ => rng.part(USED, PAGE_4K),
        };
        (self.run)(machine, &range).with_context(|| format!("{} {range:x?}", self.name))
    }
}

fn read_only(machine: &Machine, range: &Range<u64>) -> Result<()> {
    let _out = machine.lock_out();
    machine.kept.protect(range.clone(), Rights::Read)?;
    sleep(WHILE);
    machine.kept.protect(range.clone(), Rights::All)
}

fn move_and_back(machine: &Machine, range: &Range<u64>) -> Result<()> {
    let _out = machine.lock_out();
    machine.kept.protect(range.clone(), Rights::None)?;
    let moved = machine.kept.move_and_back(range.clone());
    machine.kept.protect(range.clone(), Rights::All)?;
    moved.map(drop)
}

/// A child process has the pages as they were, whatever the kernel writes later.
fn fork(machine: &Machine, _: &Range<u64>) -> Result<()> {
    // SAFETY: the child reads memory, sleeps and exits, for which it needs no lock that another
    // thread may have held.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let before = sum(&machine.kept);
        sleep(WHILE);
        let changed = sum(&machine.kept) != before;
        // SAFETY: ends the child at once, without what the parent registered for its exit.
        unsafe { libc::_exit(changed.into()) };
    }
    let mut status = 0;
    // SAFETY: `status` is this function's own.
    let ended = unsafe { libc::waitpid(child, &mut status, 0) };
    ensure!(child > 0 && ended == child, "fork");
    ensure!(status == 0, "the kernel wrote to the child's memory");
    Ok(())
}

fn sum(memory: &Memory) -> u32 {
    let offsets = (0..USED).step_by(4);
    offsets.fold(0, |sum: u32, offset| {
        sum.wrapping_mul(31).wrapping_add(memory.load(offset))
    })
}

/// The pages become one, and then small ones again.
fn collapse(machine: &Machine, _: &Range<u64>) -> Result<()> {
    // There may be no huge page to be had.
    let _ = machine.kept.advise(0..PAGE_2M, libc::MADV_COLLAPSE);
    let last = PAGE_2M - PAGE_4K..PAGE_2M;
    machine.kept.protect(last.clone(), Rights::Read)?;
    machine.kept.protect(last, Rights::All)
}

/// Pages move to other frames.
fn compact(_: &Machine, _: &Range<u64>) -> Result<()> {
    sysfs::write("/proc/sys/vm/compact_memory", "1")
}

fn delete_slot(machine: &Machine, _: &Range<u64>) -> Result<()> {
    let _denied = machine.outages.begin();
    machine.vm.delete(&machine.slot)?;
    sleep(WHILE);
    machine.vm.set(&machine.slot, 0)
}

fn move_slot(machine: &Machine, _: &Range<u64>) -> Result<()> {
    let elsewhere = Slot {
        gpa: machine.slot.gpa + 16 * MIB,
        ..machine.slot
    };
    let _denied = machine.outages.begin();
    machine.vm.set(&elsewhere, 0)?;
    sleep(WHILE);
    machine.vm.set(&machine.slot, 0)
}

/// What the kernel writes is in the log.
fn log(machine: &Machine, _: &Range<u64>) -> Result<()> {
    machine.vm.set(&machine.slot, LOG)?;
    let mut seen = 0;
    wait_for("the kernel's pages are in the log", || {
        seen |= machine.vm.get_log(&machine.slot)?[0];
        // The clocks, and the states of both vCPUs.
        Ok(seen & 0xf == 0xf)
    })?;
    machine.vm.set(&machine.slot, 0)
}

fn discard(machine: &Machine, _: &Range<u64>) -> Result<()> {
    machine.taken.discard(0..PAGE_4K)?;
    clocks_come_back(machine)
}

fn replace(machine: &Machine, _: &Range<u64>) -> Result<()> {
    machine.taken.replace(0..PAGE_4K)?;
    clocks_come_back(machine)
}

/// The kernel does not write to a page that is no longer the guest's.
fn take(machine: &Machine, _: &Range<u64>) -> Result<()> {
    let old = machine.taken.move_away(0..PAGE_4K)?;
    TIMES.iter().for_each(|&time| old.store(time, MARK));
    clocks_come_back(machine)?;
    let marked = TIMES.iter().all(|&time| old.load(time) == MARK);
    ensure!(marked, "the kernel wrote to a page that was taken away");
    Ok(())
}

/// The kernel waits for a page that this process has to give.
fn wait_for_pages(machine: &Machine, _: &Range<u64>) -> Result<()> {
    let fault = Userfault::of(&machine.taken, Kind::Missing)?;
    machine.taken.discard(0..PAGE_4K)?;
    sleep(WHILE);
    fault.give(0, 0)?;
    drop(fault);
    clocks_come_back(machine)
}

/// Both vCPUs are entered, and their clocks are in the new page.
fn clocks_come_back(machine: &Machine) -> Result<()> {
    let passes = || machine.passes.each_ref().map(|passes| passes.load(SeqCst));
    let before = passes();
    wait_for("the clocks come back", || {
        let entered = passes().iter().zip(before).all(|(&now, then)| now != then);
        let there = TIMES.iter().all(|&time| machine.taken.load(time) != 0);
        Ok(entered && there || machine.is_over())
    })
}
