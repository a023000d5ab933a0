// SPDX-License-Identifier: GPL-2.0

//! KVM's statistics of what VMs wait for are what was done to the VMs.

use super::test;
use crate::clock::wait_for;
use crate::harness::Test;
use anyhow::{ensure, Result};
use kvm_bindings::KVM_MEM_LOG_DIRTY_PAGES as LOG;
use kvmtest::guest;
use kvmtest::memory::{Backing, Memory, MIB, PAGE_2M, PAGE_4K};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Slot, Vm, BASE};
use std::collections::BTreeSet;

pub const TESTS: &[Test] = &[
    test("counts_invalidations", invalidations),
    test("counts_tables", tables),
    test("counts_dirtied_pages", dirtied),
    test("counts_waits_and_retries", waits),
];

fn vm_with(backend: &str, size: u64) -> Result<(Memory, Vm, Vcpu)> {
    let memory = Memory::new(size, Backing::Small)?;
    let (vm, vcpu) = Vm::with(backend, &memory)?;
    Ok((memory, vm, vcpu))
}

/// All, and those that hit no slot.
fn invalidations(backend: &str) -> Result<()> {
    let counts = |vm: &Vm| -> Result<[u64; 2]> {
        let get = |name| vm.stats.get(name);
        Ok([
            get("mmu_notifier_invalidations")?,
            get("mmu_notifier_elided")?,
        ])
    };
    let other = Memory::new(MIB, Backing::Small)?;
    let (memory, vm, mut vcpu) = vm_with(backend, MIB)?;
    vcpu.fill(&(BASE..BASE + MIB), 1)?;
    let before = counts(&vm)?;
    memory.discard(0..PAGE_4K)?;
    let hit = counts(&vm)?;
    other.discard(0..PAGE_4K)?;
    let missed = counts(&vm)?;
    // Others in this process may free memory at the same time, which is in no slot.
    let hits = [before, hit, missed].map(|[all, elided]| all - elided);
    ensure!(
        hits == [hits[0], hits[0] + 1, hits[0] + 1] && missed[1] > hit[1],
        "{before:?}, in the slot {hit:?}, elsewhere {missed:?}"
    );
    Ok(())
}

/// Tables that were made and not freed are those that the mapped pages need.
fn tables(backend: &str) -> Result<()> {
    const SIZE: u64 = 1 << 36;
    let memory = Memory::untouched(SIZE)?;
    let vm = Vm::new(backend)?;
    vm.set(&Slot::of(&memory), 0)?;
    let vcpu = vm.vcpu(0)?;
    let frames = guest::scattered(SIZE / MIB, 7).take(30);
    let frames: BTreeSet<u64> = frames.map(|place| (BASE + place * MIB) / PAGE_4K).collect();
    for frame in &frames {
        vcpu.populate(&(frame * PAGE_4K..(frame + 1) * PAGE_4K))?;
    }
    let map = vm.inside.map()?;
    let levels = if map[0].contains(" level=5 ") { 5 } else { 4 };
    let of_level = |level| frames.iter().map(|frame| frame >> (9 * level)).collect();
    let needed: usize = (1..levels)
        .map(of_level)
        .map(|tables: BTreeSet<u64>| tables.len())
        .sum();
    let made = vm.stats.get("tdp_tables_made")?;
    let freed = vm.stats.get("tdp_tables_freed")?;
    ensure!(
        made - freed == needed as u64,
        "{made} tables made, {freed} freed, {needed} needed"
    );
    vm.delete(&Slot::of(&memory))?;
    let count = || -> Result<u64> { vm.stats.get("tdp_tables_freed") };
    wait_for("tables to be freed", || Ok(count()? == made))
}

/// Each page of a logged slot that the guest wrote to, once.
fn dirtied(backend: &str) -> Result<()> {
    let (memory, vm, mut vcpu) = vm_with(backend, MIB)?;
    vcpu.fill(&(BASE..BASE + MIB), 1)?;
    let before = vcpu.stats.get("pages_dirtied")?;
    vm.set(&Slot::of(&memory), LOG)?;
    vcpu.fill(&(BASE..BASE + 10 * PAGE_4K), 2)?;
    vcpu.fill(&(BASE..BASE + 10 * PAGE_4K), 3)?;
    let log = vm.get_log(&Slot::of(&memory))?;
    let logged: u32 = log.iter().map(|word| word.count_ones()).sum();
    let counted = vcpu.stats.get("pages_dirtied")? - before;
    ensure!(
        (logged, counted) == (10, 10),
        "{logged} pages in the log, {counted} counted"
    );
    Ok(())
}

/// A vCPU faults while the host takes its memory away, until it has waited and tried again.
fn waits(backend: &str) -> Result<()> {
    let (memory, vm, mut vcpu) = vm_with(backend, PAGE_2M)?;
    let second = vm.vcpu(1)?;
    let scatter = guest::scatter(BASE, memory.pages(PAGE_4K), 0, 1, u32::MAX);
    let waited = || -> Result<bool> {
        let waits: u64 = second.stats.buckets("mmu_lock_wait_hist")?.iter().sum();
        let retries = second.stats.get("pf_retry_invalidated")?;
        Ok(waits != 0 && retries != 0)
    };
    vm.during(&mut [(&mut vcpu, scatter)], || {
        wait_for("a fault that waits, and one that tries again", || {
            memory.discard(0..memory.size())?;
            second.populate(&(BASE..BASE + memory.size()))?;
            waited()
        })
    })?;
    is_consistent(&vm, &second)
}

/// The time, the number and the longest of the waits fit each other.
fn is_consistent(vm: &Vm, vcpu: &Vcpu) -> Result<()> {
    let time = vcpu.stats.get("mmu_lock_wait_ns")?;
    let longest = vm.stats.get("mmu_lock_wait_max_ns")?;
    let buckets = vcpu.stats.buckets("mmu_lock_wait_hist")?;
    let least = |(bucket, count): (usize, &u64)| count * ((1_u64 << bucket) >> 1);
    let least: u64 = buckets.iter().enumerate().map(least).sum();
    ensure!(
        least <= time && time <= 2 * least + longest && longest > 0,
        "{time} ns, at most {longest} ns at once, by time {buckets:?}"
    );
    Ok(())
}
