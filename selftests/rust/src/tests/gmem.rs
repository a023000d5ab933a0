// SPDX-License-Identifier: GPL-2.0

//! Memory of a guest_memfd goes, becomes private and shared, and loses its file. The check of the
//! page tables knows which page a guest must have then: the file's, or the one that the host maps.

use super::{is_mapped, test};
use crate::clock::repeat;
use crate::harness::Test;
use anyhow::{Context, Result};
use kvm_bindings::{KVM_X86_DEFAULT_VM, KVM_X86_SW_PROTECTED_VM};
use kvmtest::beside::beside;
use kvmtest::gmem::{set_private, Gmem, MAPPABLE};
use kvmtest::guest;
use kvmtest::memory::{Backing, Memory, PAGE_2M, PAGE_4K};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Slot, Vm, BASE};
use std::ops::Range;

pub const TESTS: &[Test] = &[
    test("gmem_private", private),
    test("gmem_alone", alone),
    test("gmem_while_busy", while_busy),
    test("gmem_closed_while_busy", closed_while_busy),
];

const SIZE: u64 = 2 * PAGE_2M;
/// The part that becomes private.
const FIRST: Range<u64> = BASE..BASE + PAGE_2M;
const ALL: Range<u64> = BASE..BASE + SIZE;
/// Pages of [`FIRST`].
const PAGES: u64 = PAGE_2M / PAGE_4K;

/// A VM of that type with a slot that has a file.
fn vm_with(backend: &str, kind: u32, flags: u64, memory: &Memory) -> Result<(Vm, Vcpu, Gmem)> {
    let vm = Vm::of_type(backend, kind)?;
    let file = Gmem::new(&vm, SIZE, flags)?;
    file.set(&vm, &Slot::of(memory))?;
    let vcpu = vm.vcpu(0)?;
    Ok((vm, vcpu, file))
}

/// The guest has so many pages besides that of its program, and the right ones.
fn has(vm: &Vm, when: &'static str, small: u64, huge: u64) -> Result<()> {
    vm.inside.is_sound().context(when)?;
    is_mapped(vm, when, [small + 1, huge, 0])
}

fn private(backend: &str) -> Result<()> {
    let memory = Memory::new(SIZE, Backing::Huge)?;
    let (vm, mut vcpu, file) = vm_with(backend, KVM_X86_SW_PROTECTED_VM, 0, &memory)?;
    vcpu.fill(&ALL, 1)?;
    has(&vm, "all is shared", 0, 2)?;
    set_private(&vm, &FIRST, true)?;
    has(&vm, "the half becomes private", 0, 1)?;
    vcpu.fill(&ALL, 2)?;
    has(&vm, "the half is private", PAGES, 1)?;
    file.punch(0..2 * PAGE_4K)?;
    has(&vm, "two private pages are gone", PAGES - 2, 1)?;
    vcpu.fill(&FIRST, 3)?;
    has(&vm, "they are back", PAGES, 1)?;
    set_private(&vm, &FIRST, false)?;
    has(&vm, "all becomes shared", 0, 1)?;
    vcpu.check(&FIRST, 1)?;
    has(&vm, "all is shared again", 0, 2)?;
    set_private(&vm, &FIRST, true)?;
    vcpu.check(&FIRST, 3)?;
    drop(file);
    // KVM zaps what the slot maps, of the host as well.
    has(&vm, "the file is closed", 0, 0)
}

/// A slot has nothing but the file, whatever the process maps at its address.
fn alone(backend: &str) -> Result<()> {
    let memory = Memory::new(SIZE, Backing::Small)?;
    let (vm, mut vcpu, file) = vm_with(backend, KVM_X86_DEFAULT_VM, MAPPABLE, &memory)?;
    vcpu.fill(&ALL, 1)?;
    has(&vm, "all is there", 2 * PAGES, 0)?;
    file.punch(PAGE_4K..PAGE_2M)?;
    has(&vm, "a part is gone", PAGES + 1, 0)?;
    drop(file);
    has(&vm, "the file is closed", 0, 0)
}

/// Checks next to a guest that writes, pages that go, and memory that becomes private and shared.
fn while_busy(backend: &str) -> Result<()> {
    let memory = Memory::new(SIZE, Backing::Huge)?;
    let (vm, mut vcpu, file) = vm_with(backend, KVM_X86_SW_PROTECTED_VM, 0, &memory)?;
    // It may find memory that has just become private, or shared.
    vcpu.patient = true;
    let scatter = guest::scatter(BASE, memory.pages(PAGE_4K), 0, 7, u32::MAX);
    let change = |token: u32| {
        set_private(&vm, &FIRST, token % 2 == 0)?;
        let place = u64::from(token) % PAGES * PAGE_4K;
        file.punch(place..place + 8 * PAGE_4K)?;
        memory.discard(place..place + 8 * PAGE_4K)
    };
    let checks = beside(
        2,
        || vm.inside.is_sound(),
        || vm.during(&mut [(&mut vcpu, scatter)], || repeat(2000, 8, change)),
    );
    checks.map(drop)
}

/// Checks next to files that are closed while pages of theirs are mapped: whoever looks at one may
/// have the last reference to the file.
fn closed_while_busy(backend: &str) -> Result<()> {
    let memory = Memory::new(SIZE, Backing::Small)?;
    let slot = Slot::of(&memory);
    let vm = Vm::new(backend)?;
    let vcpu = vm.vcpu(0)?;
    let change = |_| {
        let file = Gmem::new(&vm, SIZE, MAPPABLE)?;
        file.set(&vm, &slot)?;
        vcpu.populate(&ALL)?;
        drop(file);
        vm.delete(&slot)
    };
    beside(2, || vm.inside.is_sound(), || repeat(2000, 8, change))
}
