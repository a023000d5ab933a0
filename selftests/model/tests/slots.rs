// SPDX-License-Identifier: GPL-2.0

//! Slots that are made, deleted and moved while the VM runs.

mod common;

use common::vcpu;
use kvmrs_model::{
    kvm::{
        fault::{error, Request},
        memory::Setup,
        types::Pfn,
        AddressSpace, Gfn, GfnRange, Level, MemSlot, Outcome, PageFault, Vcpu, Vm,
    },
    machine::{formats, npt, Machine, Masks},
    tdp_mmu,
    world::{
        breaks::ALWAYS,
        cpu::Access,
        kvm,
        notifier::Notifier,
        variants::Variant,
        view::{self, Tree},
    },
};
use std::sync::Arc;

/// Where the memory is, at first and when it has moved: once aligned to huge pages, once not.
const HERE: Gfn = Gfn::new(1 << 18);
const THERE: [Gfn; 2] = [Gfn::new((1 << 18) + 2048), Gfn::new((1 << 18) + 4096 + 3)];
const PAGES: u64 = 1024;

/// A VM with one slot and two places for it to go to, and a CPU that has written to two of its pages.
fn vm_with_places(format: Masks, variant: Option<Variant>) -> (Arc<Vm>, Vcpu) {
    Machine::new(format).enter();
    let place = |start| MemSlot::new(AddressSpace::NORMAL, GfnRange::sized(start, PAGES));
    let there = THERE.map(|start| place(start).showing(HERE));
    let vm = Vm::new(Setup {
        slots: [place(HERE)].into_iter().chain(there).collect(),
        nx_huge_pages: false,
        cpu_dirty_log: false,
    });
    variant
        .into_iter()
        .for_each(|variant| vm.variants.choose(variant));
    vm.slots()[1..]
        .iter()
        .for_each(|slot| kvm::delete_slot(&vm, slot));
    vm.primary.populate(HERE, Level::PG_2M);
    (512..PAGES).for_each(|page| vm.primary.populate(HERE.add(page), Level::PG_4K));
    let vcpu = vcpu(&vm);
    for page in [0, 512] {
        let got = access(&vcpu, &vm.slots()[0], page, Access::Write);
        assert!(got, "there is memory");
    }
    (vm, vcpu)
}

/// Whether there is memory at a page of the slot, which then is what the host has.
fn access(vcpu: &Vcpu, slot: &MemSlot, page: u64, access: Access) -> bool {
    let gfn = slot.range().start.add(page);
    let got = kvm::guest_access(vcpu, gfn, access, |pfn| {
        let held = vcpu.vm().primary.holds(slot.host_of(gfn), Pfn::new(pfn));
        assert!(held, "stale translation: {gfn:?} went to {pfn:#x}");
    });
    got.is_some()
}

/// The guest sees the slot where it is, and MMIO where it is not.
fn moves(format: Masks, variant: Option<Variant>) {
    let (vm, vcpu) = vm_with_places(format, variant);
    let slots = vm.slots();
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        assert!(!access(&vcpu, &slots[to], 1, Access::Read), "MMIO");
        kvm::move_slot(&vm, &slots[from], &slots[to]);
        for page in [0, 1, 512, PAGES - 1] {
            let seen = !access(&vcpu, &slots[from], page, Access::Read);
            assert!(seen, "memory is where it was");
            let seen = access(&vcpu, &slots[to], page, Access::Write);
            assert!(seen, "memory is emulated");
        }
        view::check(&vm);
    }
    kvm::destroy(&vm, vec![vcpu]);
}

#[test]
fn a_slot_moves_with_its_memory() {
    for (_, format) in formats() {
        moves(format, None);
    }
}

#[test]
#[should_panic(expected = "memory is where it was")]
fn what_a_slot_maps_goes_with_it() {
    moves(npt(), Some(Variant::SlotLeftMapped));
}

#[test]
#[should_panic(expected = "memory is emulated")]
fn mmio_entries_are_valid_until_slots_change() {
    moves(npt(), Some(Variant::MmioIsNeverStale));
}

/// A slot that is shown at another place has huge pages only where both are aligned.
#[test]
fn huge_pages_are_aligned_at_both_ends() {
    let (vm, vcpu) = vm_with_places(npt(), None);
    for (to, huge) in [(1, 1), (2, 0)] {
        kvm::move_slot(&vm, &vm.slots()[to - 1], &vm.slots()[to]);
        assert!(access(&vcpu, &vm.slots()[to], 1, Access::Write));
        assert_eq!(vm.stats.pages[1].get(), huge);
    }
    kvm::destroy(&vm, vec![vcpu]);
}

/// A fault comes while what the slot maps is zapped. The slot is still there.
fn faults_meanwhile(variant: Option<Variant>) {
    let (vm, vcpu) = vm_with_places(npt(), variant);
    let vcpu = Arc::new(vcpu);
    vm.breaks.set(ALWAYS);
    let guest = vcpu.clone();
    vm.breaks.set_hook(move || {
        kvm::fault(&guest, HERE.add(1), Access::Read);
        let prefetch = kvm::prefetch(&guest, HERE.add(2));
        let is_told = guest.vm().slots()[0].is_invalid();
        assert!(!is_told || prefetch == Outcome::TryAgain, "{prefetch:?}");
    });
    for page in 512..520 {
        access(&vcpu, &vm.slots()[0], page, Access::Read);
    }
    kvm::delete_slot(&vm, &vm.slots()[0]);
    assert!(vm.breaks.given() > 0);
    vm.breaks.set(0);
    vm.breaks.set_hook(|| ());
    let left = Tree::of(&vm, &vcpu.root().expect("a root")).leaves.len();
    assert_eq!(left, 0, "a slot that is gone is mapped");
    kvm::destroy(&vm, Arc::into_inner(vcpu).into_iter().collect());
}

#[test]
fn faults_wait_for_the_end_of_a_slot() {
    faults_meanwhile(None);
}

#[test]
#[should_panic(expected = "a slot that is gone is mapped")]
fn a_fault_in_a_slot_that_goes_is_found_out() {
    faults_meanwhile(Some(Variant::InvalidSlotIsMapped));
}

/// A fault has found the slot when it was about to go, and goes on when it is gone: no notifier tells it
/// any more what the host takes away.
#[test]
fn a_slot_that_was_found_going_stays_so() {
    let (vm, vcpu) = vm_with_places(npt(), None);
    let found = Request {
        gfn: HERE,
        pfn: Pfn::new(0x1234),
        slot: vm.slots().first(),
        error_code: error::USER,
        prefetch: false,
        map_writable: true,
        max_level: Level::PG_4K,
    };
    kvm::delete_slot(&vm, &vm.slots()[0]);
    let outcome = tdp_mmu::fault::page_fault(PageFault::new(&vcpu, found));
    assert_eq!(outcome, Outcome::Retry);
    kvm::destroy(&vm, vec![vcpu]);
}

/// The end of a notifier has to find the slots that its start has found.
#[test]
#[should_panic(expected = "slots change while a notifier is active")]
fn slots_wait_for_notifiers() {
    let (vm, _vcpu) = vm_with_places(npt(), None);
    let _notifier = Notifier::start(&vm, GfnRange::one(HERE), true);
    kvm::delete_slot(&vm, &vm.slots()[0]);
}

#[test]
#[should_panic(expected = "a notifier ends that has not started")]
fn a_slot_that_does_not_wait_is_found_out() {
    let (vm, _vcpu) = vm_with_places(npt(), Some(Variant::SlotsDoNotWait));
    kvm::delete_slot(&vm, &vm.slots()[0]);
    let notifier = Notifier::start(&vm, GfnRange::one(HERE), true);
    kvm::create_slot(&vm, &vm.slots()[0]);
    notifier.end(&vm);
}
