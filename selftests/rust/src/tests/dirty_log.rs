// SPDX-License-Identifier: GPL-2.0

//! The dirty log under two vCPUs: it has what they wrote, and nothing else.

use super::test;
use crate::clock::repeat;
use crate::harness::Test;
use crate::log;
use anyhow::{ensure, Result};
use kvm_bindings::KVM_MEM_LOG_DIRTY_PAGES as LOG;
use kvmtest::guest;
use kvmtest::memory::{Backing, Memory, MIB, PAGE_4K};
use kvmtest::sysfs::Setting;
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{eager_split, Slot, Vm, BASE, LOG_CLEARED_BY_GET, LOG_INITIALLY_SET, LOG_MANUAL};

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
];

const SIZE: u64 = 16 * MIB;
const PAGES: u64 = SIZE / PAGE_4K;
/// Where each vCPU writes in a page.
const OFFSETS: [u64; 2] = [0, 8];
const WRITES: u32 = 300;

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
    std::thread::scope(|scope| {
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
        let mut copy = vec![[0; 2]; PAGES as usize];
        copy_pages(&logged.memory, &mut copy, &all());
        let writer =
            |index: usize| guest::scatter(BASE, PAGES, OFFSETS[index], index as u32, u32::MAX);
        let mut guests = [(&mut first, writer(0)), (&mut second, writer(1))];
        logged
            .vm
            .during(&mut guests, || follow(&logged, &mut copy))?;
        copy_pages(&logged.memory, &mut copy, &logged.take()?);
        is_copy(&logged.memory, &copy)?;
    }
    Ok(())
}

fn follow(logged: &Logged, copy: &mut [[u32; 2]]) -> Result<()> {
    repeat(700, 4, |_| {
        copy_pages(&logged.memory, copy, &logged.take()?);
        Ok(())
    })
}

fn copy_pages(memory: &Memory, copy: &mut [[u32; 2]], log: &[u64]) {
    for page in 0..PAGES {
        if (log[page as usize / 64] >> (page % 64)) & 1 != 0 {
            copy[page as usize] = OFFSETS.map(|offset| memory.load(page * PAGE_4K + offset));
        }
    }
}

fn is_copy(memory: &Memory, copy: &[[u32; 2]]) -> Result<()> {
    let mut now = vec![[0; 2]; PAGES as usize];
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
