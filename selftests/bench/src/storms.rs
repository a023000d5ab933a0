// SPDX-License-Identifier: GPL-2.0

//! What invalidations cost those whose memory they are not about: a storm of them outside of all slots, and one in
//! another slot.
//!
//! There is one processor, and its clock counts instructions. Who goes first on it makes the figures exact: beside the
//! first storm the vCPU does, so that it waits for nothing but a lock. Beside the second one the storm does, so that
//! invalidations begin and end in the middle of faults.

use crate::faults::{Faulter, Faults};
use anyhow::{ensure, Result};
use kvmtest::beside::beside;
use kvmtest::cpu;
use kvmtest::memory::{Backing, Memory, MIB, PAGE_4K};
use kvmtest::probes::{Probes, Whose};
use kvmtest::vm::{Slot, Vm, BASE, SLOT};
use serde::Serialize;
use std::sync::Mutex;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// How often memory is taken away.
const STORM: u64 = 10_000;
/// Memory that the vCPU faults in.
const FAULTED: u64 = 128 * MIB;
/// The same beside the second storm, again and again.
const AGAIN: u64 = MIB;
/// From one invalidation to the next. No fault takes so long that the record of invalidations overflows.
const NAP: Duration = Duration::from_micros(50);
/// Why a fault starts again, in the vCPU's statistics.
const RETRIED: &str = "pf_retry_invalidated";
/// Where `mmu_lock` is taken.
const LOCKS: [&str; 2] = ["_raw_write_lock", "_raw_read_lock"];

#[derive(Serialize)]
struct Line<'a> {
    backend: &'a str,
    what: &'a str,
    outside: Outside,
    inside: Inside,
}

/// A storm outside of all slots.
#[derive(Serialize)]
struct Outside {
    /// How often its thread took any lock of the kind of `mmu_lock`.
    locks: u64,
    /// The vCPU's, beside the storm.
    retried: u64,
    beside: Faults,
    alone: Faults,
}

/// A storm in a slot, while a vCPU populates another one.
#[derive(Serialize)]
struct Inside {
    faults: u64,
    /// Nothing of theirs was touched.
    retried: u64,
}

/// Reports both on each backend.
pub fn report(backends: &[&str]) -> Result<()> {
    for backend in backends {
        let line = Line {
            backend,
            what: "storms",
            outside: outside(backend)?,
            inside: inside(backend)?,
        };
        println!("{}", serde_json::to_string(&line)?);
    }
    Ok(())
}

fn outside(backend: &str) -> Result<Outside> {
    let memory = Memory::new(FAULTED, Backing::Small)?;
    let (_vm, vcpu) = Vm::with(backend, &memory)?;
    let locks = locks_of_storm()?;
    let slot = Slot::of(&memory);
    let faulter = Faulter::new(vcpu, &slot);
    let before = faulter.figure(RETRIED)?;
    let (beside, time) = faulter.during(|| (0..STORM).try_for_each(|_| come_and_go()))?;
    let retried = faulter.figure(RETRIED)? - before;
    let (alone, _) = faulter.during(|| {
        let begin = Instant::now();
        while begin.elapsed() < time {}
        Ok(())
    })?;
    Ok(Outside {
        locks,
        retried,
        beside,
        alone,
    })
}

/// A storm without a vCPU that runs: probes cost instructions.
fn locks_of_storm() -> Result<u64> {
    let locks = Probes::new(&LOCKS, Whose::Mine)?;
    (0..STORM).try_for_each(|_| come_and_go())?;
    locks.calls()
}

/// A page that no slot has is taken away by madvise(), and another one by munmap().
fn come_and_go() -> Result<()> {
    let memory = Memory::untouched(PAGE_4K)?;
    memory.store(0, 1);
    memory.discard(0..PAGE_4K)?;
    memory.store(0, 1);
    Ok(())
}

fn inside(backend: &str) -> Result<Inside> {
    let memory = Memory::new(AGAIN, Backing::Small)?;
    let (vm, vcpu) = Vm::with(backend, &memory)?;
    let taken = Memory::new(MIB, Backing::Small)?;
    let slot = Slot {
        id: SLOT + 1,
        gpa: 2 * BASE,
        ..Slot::of(&taken)
    };
    vm.set(&slot, 0)?;
    let vcpu = Mutex::new(vcpu);
    let populate = || {
        let mut vcpu = vcpu.lock().expect("no panic");
        vcpu.fill(&Slot::of(&memory).range(), 1)?;
        memory.discard(0..AGAIN)
    };
    beside(1, populate, || {
        thread::scope(|scope| scope.spawn(|| storm(&taken)).join().expect("no panic"))
    })?;
    let vcpu = vcpu.lock().expect("no panic");
    let faults = vcpu.faults()?;
    ensure!(faults >= STORM, "only {faults} faults");
    let retried = vcpu.stats.get(RETRIED)?;
    Ok(Inside { faults, retried })
}

fn storm(memory: &Memory) -> Result<()> {
    cpu::go_first(1)?;
    (0..STORM).try_for_each(|_| {
        sleep(NAP);
        memory.store(0, 1);
        memory.discard(0..PAGE_4K)
    })
}
