// SPDX-License-Identifier: GPL-2.0

//! Notifiers with ranges, several at a time, and those that must not wait.

mod common;

use common::{frame, memory, smm_vcpu, vcpu, vm_with, Options, FIRST, PAGES};
use kvmrs_model::{
    kvm::{memory::Setup, types::Pfn, AddressSpace, GfnRange, Level, MemSlot, Outcome, Vcpu, Vm},
    machine::{formats, npt, Machine},
    tdp_mmu::notifier::clear_young,
    world::{
        breaks::{ALWAYS, NEVER},
        cpu::Access,
        kvm,
        notifier::{invalidate, Notifier},
        variants::Variant,
        view::{self, Tree},
    },
};
use std::sync::Arc;

/// A VM in small pages, whose first 8 frames are mapped.
fn mapped() -> (Arc<Vm>, Vcpu) {
    let vm = vm_with(npt(), memory(), Level::PG_4K, Options::default());
    let vcpu = vcpu(&vm);
    for page in 0..8 {
        kvm::guest_access(&vcpu, frame(page), Access::Write, |_| ());
    }
    (vm, vcpu)
}

fn range(from: u64, pages: u64) -> GfnRange {
    GfnRange::sized(frame(from), pages)
}

fn leaves(vcpu: &Vcpu) -> Vec<u64> {
    let tree = Tree::of(vcpu.vm(), &vcpu.root().expect("a root"));
    tree.leaves.keys().map(|gfn| gfn.raw() - FIRST).collect()
}

/// The guest gets at what the host has.
fn reads(vcpu: &Vcpu, page: u64) {
    kvm::guest_access(vcpu, frame(page), Access::Read, |pfn| {
        let held = vcpu.vm().primary.holds(frame(page), Pfn::new(pfn));
        assert!(held, "stale translation: {pfn:#x}");
    });
}

#[test]
fn a_page_that_two_address_spaces_have_used_is_young() {
    let vm = vm_with(npt(), memory(), Level::PG_4K, Options::default());
    let vcpus = [vcpu(&vm), smm_vcpu(&vm)];
    vcpus.iter().for_each(|vcpu| reads(vcpu, 0));
    let host = MemSlot::host_range_of(range(0, 1));
    assert!(clear_young(&vm, host));
    assert!(!clear_young(&vm, host), "it is old in both");
    kvm::destroy(&vm, vcpus.into());
}

#[test]
fn a_notifier_takes_away_its_range_and_no_more() {
    for (name, format) in formats() {
        let vm = vm_with(format, memory(), Level::PG_4K, Options::default());
        let vcpus = [vcpu(&vm), smm_vcpu(&vm)];
        for vcpu in &vcpus {
            (0..8).for_each(|page| reads(vcpu, page));
        }
        invalidate(&vm, range(2, 3), || {
            (2..5).for_each(|page| vm.primary.populate(frame(page), Level::PG_4K))
        });
        for vcpu in &vcpus {
            assert_eq!(leaves(vcpu), [0, 1, 5, 6, 7], "{name}");
            (0..8).for_each(|page| reads(vcpu, page));
        }
        kvm::destroy(&vm, vcpus.into());
    }
}

/// Faults retry in the ranges of active notifiers, and not between them, as in C.
#[test]
fn faults_wait_for_notifiers_of_their_frames() {
    let (vm, vcpu) = mapped();
    let fault = |page| kvm::fault(&vcpu, frame(page), Access::Write);
    let first = Notifier::start(&vm, range(10, 10), true);
    let second = Notifier::start(&vm, range(30, 10), true);
    for (page, outcome) in [
        (9, Outcome::Fixed),
        (10, Outcome::Retry),
        (25, Outcome::Fixed),
        (39, Outcome::Retry),
    ] {
        assert_eq!(fault(page), outcome, "{page}");
    }
    second.end(&vm);
    for (page, outcome) in [(10, Outcome::Retry), (39, Outcome::Fixed)] {
        assert_eq!(fault(page), outcome, "{page}, one has ended");
    }
    first.end(&vm);
    assert_eq!(fault(10), Outcome::Fixed);
    kvm::destroy(&vm, vec![vcpu]);
}

/// Recovery asks about the range of a whole huge page.
#[test]
fn recovery_leaves_alone_what_a_notifier_takes_away_and_nothing_else() {
    let vm = vm_with(npt(), memory(), Level::PG_2M, Options::default());
    let (vcpu, slot) = (vcpu(&vm), &vm.slots()[0]);
    kvm::start_dirty_log(&vm, slot, kvm::Split::Eagerly);
    for page in [256, 768] {
        kvm::guest_access(&vcpu, frame(page), Access::Write, |_| ());
    }
    let notifier = Notifier::start(&vm, range(256 + 511, 1), true);
    kvm::stop_dirty_log(&vm, slot);
    let tree = Tree::of(&vm, &vcpu.root().expect("a root"));
    let levels = [256, 768].map(|page| tree.leaf(frame(page)).expect("a leaf").1);
    let right = [Level::PG_4K, Level::PG_2M];
    assert_eq!(levels, right, "a huge page in the range of a notifier");
    notifier.end(&vm);
    kvm::destroy(&vm, vec![vcpu]);
}

/// A notifier ends while another one, for all of its range and more, goes on.
fn one_ends_before_the_other(variant: Option<Variant>) {
    let (vm, vcpu) = mapped();
    variant
        .into_iter()
        .for_each(|variant| vm.variants.choose(variant));
    let whole = Notifier::start(&vm, range(0, 8), true);
    Notifier::start(&vm, range(3, 1), true).end(&vm);
    kvm::fault(&vcpu, frame(3), Access::Read);
    vm.primary.populate(frame(3), Level::PG_4K);
    whole.end(&vm);
    reads(&vcpu, 3);
    view::check(&vm);
    kvm::destroy(&vm, vec![vcpu]);
}

#[test]
fn a_notifier_lasts_longer_than_one_within_it() {
    one_ends_before_the_other(None);
}

#[test]
#[should_panic(expected = "a notifier left")]
fn the_end_of_one_notifier_is_not_the_end_of_all() {
    one_ends_before_the_other(Some(Variant::NotifierEndsAll));
}

#[test]
#[should_panic(expected = "a notifier left")]
fn a_fault_that_does_not_look_for_notifiers_is_found_out() {
    one_ends_before_the_other(Some(Variant::FaultIsNeverStale));
}

fn zap_while_others_want_the_lock(vm: &Vm) {
    vm.breaks.set(ALWAYS);
    Notifier::start(vm, range(0, 8), false).end(vm);
    vm.breaks.set(NEVER);
}

#[test]
fn a_notifier_that_must_not_block_never_gives_way() {
    let (vm, vcpu) = mapped();
    zap_while_others_want_the_lock(&vm);
    assert_eq!(vm.breaks.given(), 0);
    assert!(leaves(&vcpu).is_empty());
    kvm::destroy(&vm, vec![vcpu]);
}

#[test]
#[should_panic(expected = "gives way in a notifier that must not")]
fn a_notifier_that_blocks_all_the_same_is_found_out() {
    let (vm, _vcpu) = mapped();
    vm.variants.choose(Variant::NotifierAlwaysBlocks);
    zap_while_others_want_the_lock(&vm);
}

#[test]
#[should_panic(expected = "nobody was told")]
fn a_host_that_says_nothing_is_found_out() {
    let (vm, _vcpu) = mapped();
    let _notifier = Notifier::start(&vm, range(0, 8), true);
    vm.primary.populate(frame(8), Level::PG_4K);
}

/// Nobody shows the memory: no lock is taken, and faults do not retry.
#[test]
fn a_notifier_for_memory_without_a_slot_does_nothing() {
    Machine::new(npt()).enter();
    let slot = GfnRange::sized(frame(0), 8);
    let vm = Vm::new(Setup {
        slots: vec![MemSlot::new(AddressSpace::NORMAL, slot)],
        nx_huge_pages: false,
        cpu_dirty_log: false,
    });
    (0..PAGES).for_each(|page| vm.primary.populate(frame(page), Level::PG_4K));
    let vcpu = vcpu(&vm);
    let ended = vm.invalidations.ended();
    let lock = vm.mmu_read();
    let elsewhere = Notifier::start(&vm, GfnRange::sized(frame(8), 8), true);
    assert!(!vm.invalidations.any() && vm.slots_update_is_blocked());
    elsewhere.end(&vm);
    drop(lock);
    assert!(!vm.slots_update_is_blocked() && vm.times_reclaimed() == 0);
    assert_eq!(vm.invalidations.ended(), ended);
    reads(&vcpu, 0);
    kvm::destroy(&vm, vec![vcpu]);
}
