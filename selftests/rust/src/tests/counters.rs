// SPDX-License-Identifier: GPL-2.0

//! KVM's statistics of what VMs wait for are what was done to the VMs.

use super::test;
use crate::clock::wait_for;
use crate::harness::Test;
use anyhow::{bail, ensure, Context, Result};
use kvm_bindings::KVM_MEM_LOG_DIRTY_PAGES as LOG;
use kvmtest::backend::RUST;
use kvmtest::beside::beside;
use kvmtest::guest;
use kvmtest::memory::{Backing, Memory, MIB, PAGE_2M, PAGE_4K};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Slot, Vm, BASE};
use kvmtest::{debugfs, sysfs};
use std::collections::BTreeSet;

pub const TESTS: &[Test] = &[
    test("counts_invalidations", invalidations),
    test("counts_tables", tables),
    test("counts_merged_flushes", merged),
    test("counts_dirtied_pages", dirtied),
    test("counts_waits_and_retries", waits),
    test("counts_share_a_file", file),
];

/// The statistics that share a file: those of the VM, and those that each vCPU has. The last one is a histogram.
const OF_VM: [&str; 7] = [
    "mmu_notifier_invalidations",
    "mmu_notifier_elided",
    "mmu_notifier_unmatched",
    LONGEST,
    "tdp_tables_made",
    "tdp_tables_freed",
    "tdp_flushes_merged",
];
const OF_VCPU: [&str; 7] = [
    "pages_dirtied",
    "pf_retry_invalidated",
    "pf_retry_obsolete",
    "pf_retry_memslot",
    "pf_retry_raced",
    "mmu_lock_wait_ns",
    "mmu_lock_wait_hist",
];
const LONGEST: &str = "mmu_lock_wait_max_ns";

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

/// Pages that are zapped together share a flush: all but one of them are counted. C does not count them. A walk that
/// gives way flushes before, so that is tried until it does not.
fn merged(backend: &str) -> Result<()> {
    const PAGES: u64 = 10;
    const TRIES: usize = 50;
    let (memory, vm, mut vcpu) = vm_with(backend, MIB)?;
    let counts = || -> Result<[u64; 2]> {
        let get = |name| vm.stats.get(name);
        Ok([
            get("tdp_flushes_merged")?,
            get("remote_tlb_flush_requests")?,
        ])
    };
    let mut discard = |pages| -> Result<[u64; 2]> {
        vcpu.fill(&(BASE..BASE + pages * PAGE_4K), 2)?;
        let before = counts()?;
        memory.discard(0..PAGES * PAGE_4K)?;
        let after = counts()?;
        Ok([0, 1].map(|which| after[which] - before[which]))
    };
    ensure!(discard(1)? == [0, 1], "one page shares no flush");
    for _ in 0..TRIES {
        let [merged, flushes] = discard(PAGES)?;
        let all = if backend == RUST { PAGES } else { flushes };
        ensure!(
            flushes != 0 && merged + flushes == all,
            "{PAGES} pages: {merged} merged, {flushes} flushes"
        );
        if flushes == 1 {
            return Ok(());
        }
    }
    bail!("{PAGES} pages never shared a flush")
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

fn waits(backend: &str) -> Result<()> {
    let (_memory, vm, vcpus) = vm_that_waited(backend)?;
    is_consistent(&vm, &vcpus[1])
}

/// A vCPU faults while others take its memory away all the time, until it has waited and tried again.
fn vm_that_waited(backend: &str) -> Result<(Memory, Vm, [Vcpu; 2])> {
    let (memory, vm, mut vcpu) = vm_with(backend, PAGE_2M)?;
    let second = vm.vcpu(1)?;
    let scatter = guest::scatter(BASE, memory.pages(PAGE_4K), 0, 1, u32::MAX);
    let waited = || -> Result<bool> {
        let waits: u64 = second.stats.buckets("mmu_lock_wait_hist")?.iter().sum();
        let retries = second.stats.get("pf_retry_invalidated")?;
        Ok(waits != 0 && retries != 0)
    };
    let all = 0..memory.size();
    let discard = || memory.discard(all.clone());
    vm.during(&mut [(&mut vcpu, scatter)], || {
        beside(1, discard, || {
            wait_for("a fault that waits, and one that tries again", || {
                second.populate(&(BASE..BASE + memory.size()))?;
                waited()
            })
        })
    })?;
    Ok((memory, vm, [vcpu, second]))
}

/// The time, the number and the longest of the waits fit each other.
fn is_consistent(vm: &Vm, vcpu: &Vcpu) -> Result<()> {
    let time = vcpu.stats.get("mmu_lock_wait_ns")?;
    let longest = vm.stats.get(LONGEST)?;
    let buckets = vcpu.stats.buckets("mmu_lock_wait_hist")?;
    let least = |(bucket, count): (usize, &u64)| count * ((1_u64 << bucket) >> 1);
    let least: u64 = buckets.iter().enumerate().map(least).sum();
    ensure!(
        least <= time && time <= 2 * least + longest && longest > 0,
        "{time} ns, at most {longest} ns at once, by time {buckets:?}"
    );
    Ok(())
}

/// The file has what the binary statistics have, of all vCPUs together. Nobody else has it, and only the longest wait
/// can be forgotten.
fn file(backend: &str) -> Result<()> {
    let (_memory, vm, vcpus) = vm_that_waited(backend)?;
    let shown = || sysfs::read(&vm.inside.path("mmu_stats"));
    // Others in this process may free memory at the same time, which counts as well.
    let (before, text) = (counted(&vm, &vcpus)?, shown()?);
    let mut after = counted(&vm, &vcpus)?;
    let lines: Vec<_> = text.lines().map(words).collect::<Result<_>>()?;
    ensure!(
        none_fell(&before, &lines) && none_fell(&lines, &after),
        "counted {before:?}, then {after:?}, shown {text}"
    );
    for name in OF_VM.iter().chain(&OF_VCPU) {
        let (own, all) = (vm.inside.path(name), debugfs::file(name));
        ensure!(!sysfs::exists(&own) && !sysfs::exists(&all), "{own}");
    }
    let set = |value| sysfs::write(&vm.inside.path("mmu_stats"), value);
    ensure!(set("1").is_err() && vm.stats.get(LONGEST)? > 0);
    set("0")?;
    let now = counted(&vm, &vcpus)?;
    let longest = after.iter_mut().find(|line| line.0 == LONGEST);
    longest.context(LONGEST)?.1 = vec![0];
    ensure!(
        vm.stats.get(LONGEST)? == 0 && none_fell(&after, &now),
        "was {after:?}, is {now:?}"
    );
    Ok(())
}

/// A statistic: its name, and its numbers.
type Line = (String, Vec<u64>);

/// The same statistics, each number at least what it was.
fn none_fell(before: &[Line], after: &[Line]) -> bool {
    let shape = |lines: &[Line]| -> Vec<(String, usize)> {
        let one = |line: &Line| (line.0.clone(), line.1.len());
        lines.iter().map(one).collect()
    };
    let numbers =
        |lines: &[Line]| -> Vec<u64> { lines.iter().flat_map(|line| line.1.clone()).collect() };
    let mut pairs = numbers(before).into_iter().zip(numbers(after));
    shape(before) == shape(after) && pairs.all(|(before, after)| before <= after)
}

fn words(line: &str) -> Result<Line> {
    let (name, numbers) = line.split_once(' ').context("a name alone")?;
    let numbers = numbers.split(' ').map(str::parse).collect::<Result<_, _>>();
    Ok((name.into(), numbers.with_context(|| line.to_string())?))
}

/// As the binary statistics have them, in the order of the file.
fn counted(vm: &Vm, vcpus: &[Vcpu; 2]) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for name in OF_VM {
        lines.push((name.into(), vm.stats.buckets(name)?));
    }
    for name in OF_VCPU {
        let [one, other] = vcpus.each_ref().map(|vcpu| vcpu.stats.buckets(name));
        let sum = one?.into_iter().zip(other?).map(|(one, other)| one + other);
        lines.push((name.into(), sum.collect()));
    }
    Ok(lines)
}
