// SPDX-License-Identifier: GPL-2.0

//! The dirty log under several vCPUs: it has what they wrote, and nothing else.

use super::test;
use crate::clock::repeat;
use crate::harness::Test;
use crate::log;
use anyhow::{ensure, Result};
use kvm_bindings::{kvm_regs, KVM_MEM_LOG_DIRTY_PAGES as LOG};
use kvmtest::guest;
use kvmtest::memory::{Backing, Memory, MIB, PAGE_4K};
use kvmtest::sysfs::Setting;
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{eager_split, Slot, Vm, BASE, LOG_CLEARED_BY_GET, LOG_INITIALLY_SET, LOG_MANUAL};
use std::ops::Range;
use std::sync::Mutex;
use std::thread;

pub const TESTS: &[Test] = &[
    test("dirty_log_exact", |backend| {
        exact(backend, LOG_CLEARED_BY_GET)
    }),
    test("dirty_log_exact_manual", |backend| {
        exact(backend, LOG_MANUAL)
    }),
    test("dirty_log_exact_initially_set", |backend| {
        exact(backend, LOG_INITIALLY_SET)
    }),
    test("dirty_log_migrates", |backend| {
        migrates(backend, LOG_CLEARED_BY_GET)
    }),
    test("dirty_log_migrates_manual", |backend| {
        migrates(backend, LOG_MANUAL)
    }),
    test("dirty_log_two_harvests", two_harvests),
];

const SIZE: u64 = 16 * MIB;
const PAGES: u64 = SIZE / PAGE_4K;
/// Where each vCPU writes in a page.
const OFFSETS: [u64; 4] = [0, 8, 16, 24];
const WRITES: u32 = 300;

/// What the vCPUs have written in a page.
type Page = [u32; OFFSETS.len()];

/// A VM whose memory is logged.
struct Logged {
    _split: Setting,
    vm: Vm,
    slot: Slot,
    memory: Memory,
    mode: u64,
}

impl Logged {
    /// With two vCPUs.
    fn new(
        backend: &str,
        (backing, split): (Backing, bool),
        mode: u64,
    ) -> Result<(Self, [Vcpu; 2])> {
        let memory = Memory::new(SIZE, backing)?;
        let slot = Slot::of(&memory);
        let (vm, mut first) = Vm::with(backend, &memory)?;
        let second = vm.vcpu(1)?;
        let _split = eager_split(split)?;
        vm.set_log_mode(mode)?;
        first.fill(&slot.range(), 1)?;
        vm.set(&slot, LOG)?;
        let logged = Self {
            memory,
            slot,
            vm,
            mode,
            _split,
        };
        Ok((logged, [first, second]))
    }

    fn take(&self) -> Result<Vec<u64>> {
        log::take(&self.vm, &self.slot, self.mode)
    }

    /// Makes those pages of `part`, which begins and ends with a word, clean that the log has.
    fn take_part(&self, part: &Range<u64>) -> Result<Vec<u64>> {
        let mut log = self.vm.get_log(&self.slot)?;
        let words = part.start as usize / 64..part.end as usize / 64;
        log[..words.start].fill(0);
        log[words.end..].fill(0);
        let pages = part.end - part.start;
        self.vm
            .clear_log(&self.slot, part.start, pages, &mut log[words])?;
        Ok(log)
    }
}

/// Rounds of random writes: the log of each is the union of what the two vCPUs wrote.
fn exact(backend: &str, mode: u64) -> Result<()> {
    for memory in log::BACKINGS {
        let (logged, mut vcpus) = Logged::new(backend, memory, mode)?;
        if mode == LOG_INITIALLY_SET {
            ensure!(logged.take()? == all(), "a new log lacks pages");
        }
        for round in 0..6 {
            let wrote = write_both(&mut vcpus, round)?;
            log::is_exactly(&logged.take()?, &wrote)?;
            log::is_exactly(&logged.take()?, &[0; PAGES as usize / 64])?;
        }
    }
    Ok(())
}

/// Lets both write at the same time; what the model says that they wrote.
fn write_both([first, second]: &mut [Vcpu; 2], round: u32) -> Result<Vec<u64>> {
    let seed = |index: usize| 2 * round + index as u32;
    let wrote = |index| guest::scattered(PAGES, seed(index)).take(WRITES as usize);
    let regs = |index: usize| guest::scatter(BASE, PAGES, OFFSETS[index], seed(index), WRITES);
    thread::scope(|scope| {
        let other = scope.spawn(|| second.run(&regs(1)));
        first.run(&regs(0))?;
        other.join().expect("vCPUs do not panic")
    })?;
    Ok(log::of(PAGES, wrote(0).chain(wrote(1))))
}

/// Live migration: copy what the log says, again and again, while both write. In the end the
/// copy is what the memory is; a write that the log missed makes them differ.
fn migrates(backend: &str, mode: u64) -> Result<()> {
    for memory in log::BACKINGS {
        let (logged, [mut first, mut second]) = Logged::new(backend, memory, mode)?;
        let mut copy = vec![Page::default(); PAGES as usize];
        copy_pages(&logged.memory, &mut copy, &all());
        let mut guests = [(&mut first, writer(0)), (&mut second, writer(1))];
        logged
            .vm
            .during(&mut guests, || follow(&logged, &mut copy))?;
        copy_pages(&logged.memory, &mut copy, &logged.take()?);
        is_copy(&logged.memory, &copy)?;
    }
    Ok(())
}

/// What the vCPU of this number writes until it is stopped.
fn writer(index: usize) -> kvm_regs {
    guest::scatter(BASE, PAGES, OFFSETS[index], index as u32, u32::MAX)
}

/// The same while four write, and two threads make parts of the log clean that overlap. Each copies what it has
/// made clean.
fn two_harvests(backend: &str) -> Result<()> {
    for memory in log::BACKINGS {
        let (logged, vcpus) = Logged::new(backend, memory, LOG_MANUAL)?;
        let more = [logged.vm.vcpu(2)?, logged.vm.vcpu(3)?];
        let mut vcpus: Vec<Vcpu> = vcpus.into_iter().chain(more).collect();
        let mut copy = vec![Page::default(); PAGES as usize];
        copy_pages(&logged.memory, &mut copy, &all());
        let copy = Mutex::new(copy);
        let writers = (0..).map(writer);
        let mut guests: Vec<_> = vcpus.iter_mut().zip(writers).collect();
        let parts = [0..PAGES / 4 * 3, PAGES / 4..PAGES];
        logged.vm.during(&mut guests, || {
            thread::scope(|scope| {
                let [first, second] = &parts;
                let other = scope.spawn(|| follow_part(&logged, second, &copy));
                follow_part(&logged, first, &copy)?;
                other.join().expect("no panics here")
            })
        })?;
        let mut copy = copy.into_inner().expect("no panics here");
        copy_pages(&logged.memory, &mut copy, &logged.take()?);
        is_copy(&logged.memory, &copy)?;
    }
    Ok(())
}

fn follow_part(logged: &Logged, part: &Range<u64>, copy: &Mutex<Vec<Page>>) -> Result<()> {
    repeat(700, 4, |_| {
        let log = logged.take_part(part)?;
        // Who copies a page later has a newer one.
        copy_pages(
            &logged.memory,
            &mut copy.lock().expect("no panics here"),
            &log,
        );
        Ok(())
    })
}

fn follow(logged: &Logged, copy: &mut [Page]) -> Result<()> {
    repeat(700, 4, |_| {
        copy_pages(&logged.memory, copy, &logged.take()?);
        Ok(())
    })
}

fn copy_pages(memory: &Memory, copy: &mut [Page], log: &[u64]) {
    for page in 0..PAGES {
        if (log[page as usize / 64] >> (page % 64)) & 1 != 0 {
            copy[page as usize] = OFFSETS.map(|offset| memory.load(page * PAGE_4K + offset));
        }
    }
}

fn is_copy(memory: &Memory, copy: &[Page]) -> Result<()> {
    let mut now = vec![Page::default(); PAGES as usize];
    copy_pages(memory, &mut now, &all());
    let lost = now
        .iter()
        .zip(copy)
        .filter(|(now, copy)| now != copy)
        .count();
    ensure!(lost == 0, "writes to {lost} pages are missing from the log");
    Ok(())
}

fn all() -> Vec<u64> {
    vec![u64::MAX; PAGES as usize / 64]
}
