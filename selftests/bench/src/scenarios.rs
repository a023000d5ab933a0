// SPDX-License-Identifier: GPL-2.0

//! Chains of operations, each the start of the next.
//!
//! Figures are per page of the size named, over all pages of the slot, whether mapped or not.

use crate::far;
use crate::sample::{Kind, Samples};
use crate::vm::{Path, Vm};
use crate::xen;
use anyhow::{ensure, Result};
use kvmtest::guest::Program;
use kvmtest::idle::IdleSet;
use kvmtest::memory::{Backing, Memory, MIB, PAGE_2M, PAGE_4K};
use kvmtest::vm::eager_split;
use std::ops::Range;

/// Makes a VM and times what is done to it.
pub type Scenario = fn(&mut Samples) -> Result<()>;

/// By name, in the order of running.
pub const SCENARIOS: [(&str, Scenario); 17] = [
    ("small", small),
    ("huge", huge),
    ("sparse", sparse),
    ("manual-small", manual_small),
    ("manual-huge", manual_huge),
    ("slot", slot),
    ("slot-range", slot_range),
    ("clock", clock),
    ("discard", discard),
    ("far", far::small),
    ("far-hint", far::hint),
    ("far-gigantic", far::gigantic),
    ("harvest", harvest),
    ("words", words),
    ("xen-runstate", xen::runstate),
    ("xen-events", xen::events),
    ("xen-calls", xen::calls),
];

/// The smallest sizes. Below, a scenario's samples say how many times as large it is.
const SMALL: u64 = 4 * MIB;
const HUGE: u64 = 16 * MIB;
const SPARSE: u64 = 32 * MIB;
const LOGGED: u64 = 32 * MIB;
/// How often a guest's clock is updated.
const UPDATES: u64 = 100;

/// A slot of small pages through the life of a VM.
fn small(samples: &mut Samples) -> Result<()> {
    let memory = Memory::new(SMALL * samples.scale, Backing::Small)?;
    let pages = memory.pages(PAGE_4K);
    let idle = IdleSet::of(&memory, PAGE_4K)?;
    let mut vm = Vm::new(samples.backend, &memory)?;

    let mut time = |op: &str, kind, operation: &mut dyn FnMut() -> Result<()>| {
        samples.time(op, "4k", kind, pages, operation)
    };
    time("populate", Kind::Work, &mut || vm.populate())?;
    time("populate, there already", Kind::Work, &mut || vm.populate())?;
    // Mapping a page ahead of its use leaves it old; this does not fault, but makes it young.
    vm.touch(Program::Read)?;
    time("age, accessed", Kind::Work, &mut || idle.mark())?;
    time("age, idle", Kind::Scan, &mut || idle.mark())?;
    time("log on, protect", Kind::Work, &mut || vm.log(true))?;
    time("log off, nothing to recover", Kind::Work, &mut || {
        vm.log(false)
    })?;
    time("log on, protected already", Kind::Scan, &mut || {
        vm.log(true)
    })?;
    // C's fast path gives the right to write back; the backend's own part is below.
    time("write fault, fast path", Kind::Work, &mut || {
        vm.fault_in_all(pages, Path::Fast)
    })?;
    let mut log = Vec::new();
    time("get log, protect", Kind::Work, &mut || {
        log = vm.get_log()?;
        Ok(())
    })?;
    are_dirty(&log, pages)?;
    vm.log(false)?;
    time("zap, dense", Kind::Work, &mut || {
        memory.discard(0..memory.size())
    })?;
    memory.advise(0..memory.size(), libc::MADV_POPULATE_WRITE)?;
    time("write fault, map", Kind::Work, &mut || {
        vm.fault_in_all(pages, Path::Map)
    })?;
    memory.discard(0..memory.size())?;
    time("log on, absent", Kind::Scan, &mut || vm.log(true))?;
    samples.time("zap, empty", "4k", Kind::Scan, pages, || {
        drop(memory);
        Ok(())
    })?;
    vm.end();
    Ok(())
}

/// A slot of huge pages, split and recovered.
fn huge(samples: &mut Samples) -> Result<()> {
    let memory = Memory::new(HUGE * samples.scale, Backing::Huge)?;
    let idle = IdleSet::of(&memory, PAGE_2M)?;
    let mut vm = Vm::new(samples.backend, &memory)?;

    // The first fault fills the vCPU's caches of tables. That costs as much as all other faults here.
    vm.populate_page(0)?;
    let others = memory.pages(PAGE_2M) - 1;
    samples.time("populate", "2m", Kind::Work, others, || {
        vm.populate_from(PAGE_2M)
    })?;
    let mut time = |op: &str, size, kind, operation: &mut dyn FnMut() -> Result<()>| {
        let unit = if size == "2m" { PAGE_2M } else { PAGE_4K };
        samples.time(op, size, kind, memory.pages(unit), operation)
    };
    vm.touch(Program::Read)?;
    time("age, accessed", "2m", Kind::Work, &mut || idle.mark())?;
    let late = eager_split(false)?;
    time("log on, protect", "2m", Kind::Work, &mut || vm.log(true))?;
    time("log off, huge already", "2m", Kind::Scan, &mut || {
        vm.log(false)
    })?;
    drop(late);
    let _early = eager_split(true)?;
    time("log on, split", "4k", Kind::Work, &mut || vm.log(true))?;
    vm.touch(Program::Read)?;
    time("age split, accessed", "4k", Kind::Work, &mut || idle.mark())?;
    time("age split, idle", "4k", Kind::Scan, &mut || idle.mark())?;
    time("log off, recover", "4k", Kind::Work, &mut || vm.log(false))?;
    let pages = memory.pages(PAGE_2M);
    samples.time("zap, dense", "2m", Kind::Work, pages, || {
        drop(memory);
        Ok(())
    })?;
    vm.end();
    Ok(())
}

/// One small page in every 2M: a table for each, nearly empty.
fn sparse(samples: &mut Samples) -> Result<()> {
    let memory = Memory::new(SPARSE * samples.scale, Backing::Sparse)?;
    let pages = memory.pages(PAGE_4K);
    let mut vm = Vm::new(samples.backend, &memory)?;
    for offset in (0..memory.size()).step_by(PAGE_2M as usize) {
        vm.populate_page(offset)?;
    }
    samples.time("log on, sparse", "4k", Kind::Scan, pages, || vm.log(true))?;
    // Each table is looked at, and C's code asks the host for each: that is the same on both.
    samples.time("log off, sparse", "4k", Kind::Work, pages, || vm.log(false))?;
    samples.time("zap, sparse", "4k", Kind::Scan, pages, || {
        drop(memory);
        Ok(())
    })?;
    vm.check_early()?;
    samples.time("teardown, sparse", "4k", Kind::Scan, pages, || {
        vm.end();
        Ok(())
    })
}

/// A log that starts with every page dirty, cleared by a call of its own.
fn manual_small(samples: &mut Samples) -> Result<()> {
    let memory = Memory::new(SMALL * samples.scale, Backing::Small)?;
    let mut vm = clear_log(samples, &memory, "clear log, protect")?;
    let pages = memory.pages(PAGE_4K);
    vm.check_early()?;
    samples.time("teardown, dense", "4k", Kind::Work, pages, || {
        vm.end();
        Ok(())
    })
}

/// The same over huge pages, which clearing the log splits.
fn manual_huge(samples: &mut Samples) -> Result<()> {
    let memory = Memory::new(HUGE * samples.scale, Backing::Huge)?;
    clear_log(samples, &memory, "clear log, split").map(drop)
}

fn clear_log(samples: &mut Samples, memory: &Memory, op: &str) -> Result<Vm> {
    let pages = memory.pages(PAGE_4K);
    let vm = Vm::new(samples.backend, memory)?;
    vm.start_logs_set()?;
    vm.populate()?;
    vm.log(true)?;
    let mut log = vm.get_log()?;
    are_dirty(&log, pages)?;
    samples.time(op, "4k", Kind::Work, pages, || vm.clear_log(&mut log))?;
    Ok(vm)
}

/// Deleting a slot, which drops all page tables of the VM.
fn slot(samples: &mut Samples) -> Result<()> {
    let memory = Memory::new(SMALL * samples.scale, Backing::Small)?;
    let vm = Vm::new(samples.backend, &memory)?;
    vm.populate()?;
    samples.time(
        "delete slot, all",
        "4k",
        Kind::Work,
        memory.pages(PAGE_4K),
        || vm.delete_slot(),
    )
}

/// Deleting a slot, which zaps what it maps.
fn slot_range(samples: &mut Samples) -> Result<()> {
    let memory = Memory::new(SMALL * samples.scale, Backing::Small)?;
    let vm = Vm::new(samples.backend, &memory)?;
    vm.delete_slots_by_range()?;
    vm.populate()?;
    samples.time(
        "delete slot, range",
        "4k",
        Kind::Work,
        memory.pages(PAGE_4K),
        || vm.delete_slot(),
    )?;
    // The tables are still there, their entries are not.
    vm.create_slot()?;
    samples.time(
        "delete slot, empty",
        "4k",
        Kind::Scan,
        memory.pages(PAGE_4K),
        || vm.delete_slot(),
    )
}

/// The kernel writes a guest's time to one page and, for what each further page costs, to three.
fn clock(samples: &mut Samples) -> Result<()> {
    let memory = Memory::new(4 * PAGE_4K, Backing::Small)?;
    let updates = UPDATES * samples.scale;
    let mut vm = Vm::new(samples.backend, &memory)?;
    // Before both, as what else is done for a guest of Xen's is no part of a page. Nor are the guest's first faults.
    vm.speak_xen()?;
    vm.keep_clock()?;
    vm.update_clock(1)?;
    samples.time("clock, one page", "update", Kind::Work, updates, || {
        vm.update_clock(updates)
    })?;
    vm.keep_clocks_of_xen()?;
    samples.time("clock, three pages", "update", Kind::Work, updates, || {
        vm.update_clock(updates)
    })
}

/// A log of which a part is dirty, and how long others have to wait for what is done to logs.
fn harvest(samples: &mut Samples) -> Result<()> {
    let memory = Memory::new(LOGGED * samples.scale, Backing::Small)?;
    let pages = memory.pages(PAGE_4K);
    let mut vm = Vm::new(samples.backend, &memory)?;
    vm.populate()?;
    samples.longest("log on", || vm.log(true))?;
    for (part, one_in) in [("1 in 10", 10), ("1 in 1000", 1000), ("one page", pages)] {
        let dirty = vm.write_one_in(one_in)?;
        let op = format!("get log, {part}");
        let log = samples.time(&op, "4k", Kind::Work, pages, || vm.get_log())?;
        are_dirty(&log, dirty)?;
    }
    let dirty = vm.write_one_in(1)?;
    let log = samples.longest("get log", || vm.get_log())?;
    are_dirty(&log, dirty)?;
    samples.longest("log off", || vm.log(false))?;
    vm.end();
    hold_of_clear(samples, &memory)
}

fn hold_of_clear(samples: &mut Samples, memory: &Memory) -> Result<()> {
    let vm = Vm::new(samples.backend, memory)?;
    vm.start_logs_set()?;
    vm.populate()?;
    vm.log(true)?;
    let mut log = vm.get_log()?;
    samples.longest("clear log", || vm.clear_log(&mut log))
}

/// A log of which a word is cleared at a time, by who sends a few pages at a time.
fn words(samples: &mut Samples) -> Result<()> {
    let memory = Memory::new(SMALL * samples.scale, Backing::Small)?;
    let mut vm = Vm::new(samples.backend, &memory)?;
    vm.start_logs_set()?;
    vm.populate()?;
    vm.log(true)?;
    vm.clear_log(&mut vm.get_log()?)?;
    for in_word in [1, 8, 64] {
        let dirty = vm.write_one_in(64 / in_word)?;
        let mut log = vm.get_log()?;
        are_dirty(&log, dirty)?;
        let op = format!("clear word, {in_word} dirty");
        samples.time(&op, "4k", Kind::Work, dirty, || vm.clear_words(&mut log))?;
    }
    vm.end();
    Ok(())
}

/// Invalidations of a page each: outside of all slots, and in the slot.
fn discard(samples: &mut Samples) -> Result<()> {
    let memory = Memory::new(SMALL * samples.scale, Backing::Small)?;
    let other = Memory::new(SMALL * samples.scale, Backing::Small)?;
    let pages = memory.pages(PAGE_4K);
    let vm = Vm::new(samples.backend, &memory)?;
    vm.populate()?;
    samples.time("discard, no slot", "4k", Kind::Work, pages, || {
        each_page(&other, |page| other.discard(page))
    })?;
    samples.time("discard, one by one", "4k", Kind::Work, pages, || {
        each_page(&memory, |page| memory.discard(page))
    })?;
    vm.end();
    Ok(())
}

fn each_page(memory: &Memory, act: impl Fn(Range<u64>) -> Result<()>) -> Result<()> {
    let mut places = (0..memory.size()).step_by(PAGE_4K as usize);
    places.try_for_each(|place| act(place..place + PAGE_4K))
}

/// Demands that so many pages are set in a log.
pub fn are_dirty(log: &[u64], pages: u64) -> Result<()> {
    let dirty: u64 = log.iter().map(|word| u64::from(word.count_ones())).sum();
    ensure!(dirty == pages, "{dirty} pages are dirty, and not {pages}");
    Ok(())
}
