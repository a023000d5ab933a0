// SPDX-License-Identifier: GPL-2.0

//! A dirty ring whose vCPU is preempted while a page is noted in it. KVM then writes to the memory of a guest made
//! for Xen: the vCPU does not run. That page is noted as well, in the same ring.

use super::while_interrupted;
use crate::harness::Test;
use anyhow::{ensure, Context, Result};
use kvm_bindings::KVM_MEM_LOG_DIRTY_PAGES as LOG;
use kvmtest::memory::{Backing, Memory, PAGE_4K};
use kvmtest::ring::{self, Ring};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Slot, Vm};
use kvmtest::xen::{self, Area};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[super::long("dirty_ring_preempted", preempted)];

/// The guest writes to them, and KVM to the last one.
const PAGES: u64 = 64;
const ENTRIES: u64 = 1 << 14;
/// By then a page is lost, if any can be, in most runs.
const LONG_ENOUGH: Duration = Duration::from_secs(20);
/// Rounds in which KVM noted its page more often than it has to: the vCPU was preempted in the middle.
const PREEMPTED: usize = 500;
/// It takes so long at most, where others use the machine too.
const AT_MOST: Duration = Duration::from_secs(90);

/// The ring has all that the guest has written to.
fn preempted(backend: &str) -> Result<()> {
    let memory = Memory::new(PAGES * PAGE_4K, Backing::Small)?;
    let slot = Slot::of(&memory);
    let vm = Vm::new(backend)?;
    xen::enable(&vm)?;
    Ring::enable(&vm, ENTRIES)?;
    vm.set(&slot, LOG)?;
    let mut vcpu = vm.vcpu(0)?;
    let mut ring = Ring::of(&vcpu, ENTRIES)?;
    let last = slot.gpa + (PAGES - 1) * PAGE_4K;
    xen::set_area(&vcpu, Area::Runstate, Some(last)).context("placing the states")?;
    while_interrupted(|rounds| {
        let (begin, mut times) = (Instant::now(), 0);
        while begin.elapsed() < LONG_ENOUGH || times < PREEMPTED {
            ensure!(begin.elapsed() < AT_MOST, "preempted in {times} rounds");
            times += usize::from(write(&vm, &mut vcpu, &mut ring, &slot, rounds)?);
        }
        println!("# preempted in {times} of {} rounds", rounds.load(SeqCst));
        Ok(())
    })
}

/// The guest writes to each page once, which KVM then has to notice anew. Says whether the vCPU was preempted.
fn write(
    vm: &Vm,
    vcpu: &mut Vcpu,
    ring: &mut Ring,
    slot: &Slot,
    rounds: &AtomicU32,
) -> Result<bool> {
    let round = rounds.fetch_add(1, SeqCst);
    vcpu.fill(&(slot.gpa..slot.gpa + (PAGES - 1) * PAGE_4K), round)?;
    let entries = ring.collect()?;
    let own = entries.iter().filter(|&&(_, page)| page == PAGES - 1);
    let preempted = own.count() > 1;
    let found: BTreeSet<_> = entries.into_iter().collect();
    let lost = (0..PAGES - 1).filter(|&page| !found.contains(&(slot.id, page)));
    let lost: Vec<_> = lost.collect();
    ensure!(
        lost.is_empty(),
        "in round {round} the ring lacks {} pages, the first is {}",
        lost.len(),
        lost[0]
    );
    ring::reset(vm)?;
    Ok(preempted)
}
