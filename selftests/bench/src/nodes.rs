// SPDX-License-Identifier: GPL-2.0

//! What the host's balancing and merging costs a guest that writes to all of its memory from both nodes.
//!
//! Nothing here is a time: each figure is a count, and the guest's own writes say how far it got
//! meanwhile.

use anyhow::{ensure, Result};
use kvmtest::guest;
use kvmtest::memory::{Backing, Memory, MIB, PAGE_4K};
use kvmtest::sysfs::{self, Setting, MERGING_AND_MOVING};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Slot, Vm, BASE};
use serde::Serialize;
use std::thread::sleep;
use std::time::Duration;

/// What the guest writes to.
const SIZE: u64 = 1024 * MIB;
const RUN: Duration = Duration::from_secs(30);
/// Backends take turns in so many runs each.
const ROUNDS: u32 = 3;
/// A processor of each node runs one.
const VCPUS: u64 = 2;
/// More than a vCPU writes in a run.
const WRITES: u32 = u32::MAX;

/// Why a fault is tried again.
const RETRIES: [&str; 4] = [
    "pf_retry_invalidated",
    "pf_retry_obsolete",
    "pf_retry_memslot",
    "pf_retry_raced",
];

#[derive(Serialize)]
struct Line<'a> {
    backend: &'a str,
    /// For whoever watches.
    what: &'a str,
    /// The guest's.
    writes: u64,
    faults: u64,
    retries: u64,
    /// The host's, of memory that the guest has.
    invalidations: u64,
    flushes: u64,
    /// Pages that the host moved to another node, and merged ones that it copied for a write.
    moved: u64,
    copied: u64,
}

/// Reports each run.
pub fn report(backends: &[&str]) -> Result<()> {
    let _settings = Setting::all(&MERGING_AND_MOVING)?;
    for round in 0..ROUNDS {
        let (later, first) = backends.split_at(round as usize % backends.len());
        for backend in first.iter().chain(later) {
            println!("{}", serde_json::to_string(&run(backend)?)?);
        }
    }
    Ok(())
}

fn run(backend: &str) -> Result<Line<'_>> {
    let memory = Memory::new(SIZE, Backing::Small)?;
    memory.advise(0..SIZE, libc::MADV_MERGEABLE)?;
    let (vm, first) = Vm::with(backend, &memory)?;
    let mut vcpus = vec![first];
    for id in 1..VCPUS {
        vcpus.push(vm.vcpu(id)?);
    }
    vcpus[0].populate(&Slot::of(&memory).range())?;
    let before = counts(&vm, &vcpus)?;
    let seeds = 1..;
    let scatter = |seed| guest::scatter(BASE, memory.pages(PAGE_4K), 0, seed, WRITES);
    let mut guests: Vec<_> = vcpus.iter_mut().zip(seeds.map(scatter)).collect();
    let ((), ended) = vm.during(&mut guests, || {
        sleep(RUN);
        Ok(())
    })?;
    let after = counts(&vm, &vcpus)?;
    let [faults, retries, invalidations, flushes, moved, copied] =
        std::array::from_fn(|index| after[index] - before[index]);
    let left = ended.iter().map(|regs| regs.rcx);
    let writes: u64 = left.map(|left| u64::from(WRITES) - left).sum();
    ensure!(moved > 0, "the host moved nothing to another node");
    ensure!(writes > 0, "the guest wrote nothing");
    Ok(Line {
        backend,
        what: "two nodes",
        writes,
        faults,
        retries,
        invalidations,
        flushes,
        moved,
        copied,
    })
}

/// Right now, in the order of [`Line`].
fn counts(vm: &Vm, vcpus: &[Vcpu]) -> Result<[u64; 6]> {
    let (mut faults, mut retries) = (0, 0);
    for vcpu in vcpus {
        faults += vcpu.faults()?;
        for why in RETRIES {
            retries += vcpu.stats.get(why)?;
        }
    }
    let all = vm.stats.get("mmu_notifier_invalidations")?;
    let elided = vm.stats.get("mmu_notifier_elided")?;
    Ok([
        faults,
        retries,
        all - elided,
        vm.stats.get("remote_tlb_flush_requests")?,
        sysfs::number_in("/proc/vmstat", "numa_pages_migrated")?,
        sysfs::number_in("/proc/vmstat", "cow_ksm")?,
    ])
}
