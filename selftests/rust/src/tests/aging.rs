// SPDX-License-Identifier: GPL-2.0

//! Aging: a page is old until a guest uses it, and then it is not.

use super::test;
use crate::harness::Test;
use anyhow::{ensure, Result};
use kvm_bindings::KVM_MEM_LOG_DIRTY_PAGES as LOG;
use kvmtest::guest;
use kvmtest::idle::IdleSet;
use kvmtest::memory::{Backing, Memory, MIB, PAGE_2M, PAGE_4K};
use kvmtest::vm::{eager_split, Slot, Vm, BASE};

pub const TESTS: &[Test] = &[
    test("aging_4k", |backend| {
        exact(backend, 8 * MIB, Backing::Small, false)
    }),
    test("aging_2m", |backend| {
        exact(backend, 64 * MIB, Backing::Huge, false)
    }),
    test("aging_split", |backend| {
        exact(backend, 16 * MIB, Backing::Huge, true)
    }),
];

/// Rounds of: mark all idle, nobody uses them, a guest uses some.
///
/// With `split`, the guest's pages are small and the host's are huge, so that one small page that
/// was used makes 2M young.
fn exact(backend: &str, size: u64, backing: Backing, split: bool) -> Result<()> {
    let unit = if backing == Backing::Small {
        PAGE_4K
    } else {
        PAGE_2M
    };
    let memory = Memory::new(size, backing)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    let slot = Slot::of(&memory);
    let _split = eager_split(true)?;
    vcpu.fill(&slot.range(), 1)?;
    if split {
        vm.set(&slot, LOG)?;
    }
    let idle = IdleSet::of(&memory, unit)?;
    let (units, per_unit) = (size / unit, unit / PAGE_4K);
    for round in 0..4 {
        idle.mark()?;
        is_exactly(&idle.idle()?, &vec![true; units as usize])?;
        vcpu.flush_tlb()?;
        let count = units as u32 / 4;
        vcpu.scatter(BASE, size / PAGE_4K, 0, round, count)?;
        let mut wanted = vec![true; units as usize];
        for page in guest::scattered(size / PAGE_4K, round).take(count as usize) {
            wanted[(page / per_unit) as usize] = false;
        }
        is_exactly(&idle.idle()?, &wanted)?;
    }
    Ok(())
}

fn is_exactly(idle: &[bool], wanted: &[bool]) -> Result<()> {
    let count = |idle_is: bool| {
        let wrong = idle
            .iter()
            .zip(wanted)
            .filter(|(idle, wanted)| idle != wanted);
        wrong.filter(|(idle, _)| **idle == idle_is).count()
    };
    let (lost, invented) = (count(true), count(false));
    ensure!(
        lost + invented == 0,
        "of {} pages, {lost} were used and are idle, {invented} were not used and are young",
        idle.len()
    );
    Ok(())
}
