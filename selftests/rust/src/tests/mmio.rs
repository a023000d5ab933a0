// SPDX-License-Identifier: GPL-2.0

//! Addresses get memory and lose it again: what the guest finds is what is there now.

use super::test;
use crate::harness::Test;
use anyhow::{ensure, Result};
use kvm_bindings::KVM_MEM_READONLY;
use kvmtest::memory::{Backing, Memory, MIB, PAGE_4K};
use kvmtest::vcpu::{Probed, Vcpu};
use kvmtest::vm::{Slot, Vm, BASE};

pub const TESTS: &[Test] = &[
    test("mmio_and_slots", |backend| {
        slots_come_and_go(backend, false)
    }),
    test("mmio_and_slots_by_range", |backend| {
        slots_come_and_go(backend, true)
    }),
    test("mmio_slot_moves", slot_moves),
    test("mmio_read_only_slot", read_only),
];

const SIZE: u64 = MIB;
const LAST: u64 = SIZE - PAGE_4K;

/// MMIO, memory, MMIO, other memory, ...
fn slots_come_and_go(backend: &str, by_range: bool) -> Result<()> {
    let memories = [
        Memory::new(SIZE, Backing::Small)?,
        Memory::new(SIZE, Backing::Small)?,
    ];
    let vm = Vm::new(backend)?;
    if by_range {
        vm.delete_slots_by_range()?;
    }
    let mut vcpu = vm.vcpu(0)?;
    for round in 1..20 {
        let memory = &memories[round as usize % 2];
        let slot = Slot::of(memory);
        both_ends(&mut vcpu, BASE, |gpa| (gpa as u32, Probed::Mmio))?;
        vm.set(&slot, 0)?;
        both_ends(&mut vcpu, BASE, |_| (round, Probed::Memory(round)))?;
        ensure!(
            memory.load(0) == round && memory.load(LAST) == round,
            "it is other memory"
        );
        vm.delete(&slot)?;
    }
    both_ends(&mut vcpu, BASE, |_| (1, Probed::Mmio))?;
    ensure!(
        vm.stats.get("pages_4k")? <= 1,
        "pages of deleted slots are still mapped"
    );
    Ok(())
}

/// A slot that moves leaves MMIO behind.
fn slot_moves(backend: &str) -> Result<()> {
    let memory = Memory::new(SIZE, Backing::Small)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    let places = [BASE, BASE + 16 * SIZE];
    for round in 0..10 {
        let (here, there) = (places[round as usize % 2], places[(round as usize + 1) % 2]);
        both_ends(&mut vcpu, here, |_| (round, Probed::Memory(round)))?;
        both_ends(&mut vcpu, there, |_| (round, Probed::Mmio))?;
        let moved = Slot {
            gpa: there,
            ..Slot::of(&memory)
        };
        vm.set(&moved, 0)?;
    }
    Ok(())
}

/// Memory that the guest may only read: writes come out, and change nothing.
fn read_only(backend: &str) -> Result<()> {
    let memory = Memory::new(SIZE, Backing::Small)?;
    let vm = Vm::new(backend)?;
    let mut vcpu = vm.vcpu(0)?;
    let slot = Slot::of(&memory);
    for round in 1..10 {
        memory.store(0, round);
        memory.store(LAST, round);
        vm.set(&slot, KVM_MEM_READONLY)?;
        // The second time the pages are mapped.
        for value in [98, 99] {
            both_ends(&mut vcpu, BASE, |_| (value, Probed::ReadOnly(round)))?;
        }
        vm.delete(&slot)?;
        vm.set(&slot, 0)?;
        both_ends(&mut vcpu, BASE, |_| (77, Probed::Memory(77)))?;
        vm.delete(&slot)?;
    }
    Ok(())
}

/// Probes the first and the last page; `expect` says what to write and what to find.
fn both_ends(vcpu: &mut Vcpu, base: u64, expect: impl Fn(u64) -> (u32, Probed)) -> Result<()> {
    for gpa in [base, base + LAST] {
        let (value, wanted) = expect(gpa);
        let found = vcpu.probe(gpa, value)?;
        ensure!(
            found == wanted,
            "{gpa:#x} is {found:?} instead of {wanted:?}"
        );
    }
    Ok(())
}
