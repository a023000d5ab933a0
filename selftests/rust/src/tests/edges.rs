// SPDX-License-Identifier: GPL-2.0

//! Slots that begin and end inside a huge page.

use super::{is_mapped, no_faults, test};
use crate::harness::Test;
use crate::log;
use anyhow::{ensure, Result};
use kvm_bindings::KVM_MEM_LOG_DIRTY_PAGES as LOG;
use kvmtest::memory::{Backing, Memory, MIB, PAGE_2M, PAGE_4K};
use kvmtest::vcpu::{Probed, Vcpu};
use kvmtest::vm::{eager_split, Slot, Vm, BASE, LOG_MANUAL, SLOT};

pub const TESTS: &[Test] = &[
    test("edge_start_and_end", start_and_end),
    test("edge_never_huge", never_huge),
    test("edge_two_slots", two_slots),
    test("edge_log_ends", log_ends),
];

/// Pages that the slot lacks of its first 2M and of its last.
const BEFORE: u64 = 3;
const AFTER: u64 = 5;

/// Everything but the ends is huge, before logging and after.
fn start_and_end(backend: &str) -> Result<()> {
    let memory = Memory::new(4 * PAGE_2M, Backing::Huge)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    let slot = ragged(&vm, &memory)?;
    let _split = eager_split(true)?;

    vcpu.fill(&slot.range(), 1)?;
    let code = 1;
    let wanted = [code + 512 - BEFORE + 512 - AFTER, 2, 0];
    is_mapped(&vm, "before logging", wanted)?;
    vm.set(&slot, LOG)?;
    is_mapped(&vm, "while logging", [code + slot.size / PAGE_4K, 0, 0])?;
    vcpu.fill(&slot.range(), 2)?;
    vm.set(&slot, 0)?;
    is_mapped(&vm, "after logging", wanted)?;
    no_faults(&mut vcpu, |vcpu| vcpu.check(&slot.range(), 2))?;
    is_mmio(&mut vcpu, slot.gpa - PAGE_4K)?;
    is_mmio(&mut vcpu, slot.range().end)
}

/// Huge pages of the host that begin elsewhere in the guest's 2M are of no use.
fn never_huge(backend: &str) -> Result<()> {
    let memory = Memory::new(2 * PAGE_2M, Backing::Huge)?;
    let vm = Vm::new(backend)?;
    let mut vcpu = vm.vcpu(0)?;
    let slot = Slot {
        gpa: BASE + PAGE_4K,
        ..Slot::of(&memory)
    };
    vm.set(&slot, 0)?;
    let _split = eager_split(true)?;
    for round in 1..3 {
        vcpu.fill(&slot.range(), round)?;
        is_mapped(&vm, "before logging", [1 + 1024, 0, 0])?;
        vm.set(&slot, LOG)?;
        vm.set(&slot, 0)?;
        is_mapped(&vm, "after logging", [1 + 1024, 0, 0])?;
        vcpu.check(&slot.range(), round)?;
    }
    Ok(())
}

/// Two slots share 2M of guest memory: what is done to one is not done to the other.
fn two_slots(backend: &str) -> Result<()> {
    let memories = [
        Memory::new(PAGE_2M, Backing::Huge)?,
        Memory::new(PAGE_2M, Backing::Huge)?,
    ];
    let half = |id: u32, start: u64| Slot {
        id,
        gpa: BASE + start,
        hva: memories[id as usize - 1].address() + start,
        size: MIB,
    };
    let (left, right) = (half(1, 0), half(2, MIB));
    let vm = Vm::new(backend)?;
    vm.delete_slots_by_range()?;
    vm.set(&left, 0)?;
    vm.set(&right, 0)?;
    let mut vcpu = vm.vcpu(0)?;

    vcpu.fill(&(BASE..BASE + PAGE_2M), 1)?;
    is_mapped(&vm, "of two slots", [1 + 512, 0, 0])?;
    vm.set(&left, LOG)?;
    let faults = |vcpu: &mut Vcpu, slot: &Slot| vcpu.faults_of(|vcpu| vcpu.fill(&slot.range(), 2));
    ensure!(
        faults(&mut vcpu, &right)? == 0,
        "a log protects the neighbour"
    );
    let protected = if log::is_kept_by_processor()? { 0 } else { 256 };
    ensure!(
        faults(&mut vcpu, &left)? == protected,
        "a log does not protect its slot"
    );
    ensure!(vm.get_log(&left)? == [u64::MAX; 4], "the log lacks pages");

    vm.delete(&left)?;
    is_mapped(&vm, "of one slot", [1 + 256, 0, 0])?;
    ensure!(
        faults(&mut vcpu, &right)? == 0,
        "a slot took its neighbour's pages along"
    );
    is_mmio(&mut vcpu, left.range().end - PAGE_4K)?;
    let other = Slot {
        hva: memories[1].address(),
        ..left
    };
    vm.set(&other, 0)?;
    ensure!(
        vcpu.probe(BASE, 77)? == Probed::Memory(77),
        "the new slot is not there"
    );
    ensure!(
        memories[1].load(0) == 77,
        "the new slot leads to the old memory"
    );
    vcpu.check(&right.range(), 2)
}

/// The log of a ragged slot has its first page and its last, and a clear of the last pages alone
/// clears just those.
fn log_ends(backend: &str) -> Result<()> {
    let memory = Memory::new(4 * PAGE_2M, Backing::Huge)?;
    for split in [true, false] {
        let (vm, mut vcpu) = Vm::with(backend, &memory)?;
        let slot = ragged(&vm, &memory)?;
        let _split = eager_split(split)?;
        vm.set_log_mode(LOG_MANUAL)?;
        vcpu.fill(&slot.range(), 1)?;
        vm.set(&slot, LOG)?;
        let pages = slot.size / PAGE_4K;
        let (first, last) = (slot.gpa, slot.range().end - PAGE_4K);
        for gpa in [first, last] {
            vcpu.fill(&(gpa..gpa + PAGE_4K), 2)?;
        }
        ensure!(
            log::pages(&vm.get_log(&slot)?) == [0, pages - 1],
            "not the first and the last page"
        );
        let start = pages / 64 * 64;
        vm.clear_log(&slot, start, pages - start, &mut [u64::MAX])?;
        ensure!(
            log::pages(&vm.get_log(&slot)?) == [0],
            "clearing the end cleared something else"
        );
        vcpu.fill(&(last..last + PAGE_4K), 3)?;
        ensure!(
            log::pages(&vm.get_log(&slot)?) == [0, pages - 1],
            "a write after clearing is lost"
        );
    }
    Ok(())
}

/// `memory` without some pages at both ends, where it would be in the guest.
fn ragged(vm: &Vm, memory: &Memory) -> Result<Slot> {
    let whole = Slot::of(memory);
    vm.delete(&whole)?;
    let slot = Slot {
        id: SLOT,
        gpa: whole.gpa + BEFORE * PAGE_4K,
        hva: whole.hva + BEFORE * PAGE_4K,
        size: whole.size - (BEFORE + AFTER) * PAGE_4K,
    };
    vm.set(&slot, 0)?;
    Ok(slot)
}

fn is_mmio(vcpu: &mut Vcpu, gpa: u64) -> Result<()> {
    let found = vcpu.probe(gpa, 5)?;
    ensure!(
        found == Probed::Mmio,
        "{gpa:#x} has no slot, but is {found:?}"
    );
    Ok(())
}
