// SPDX-License-Identifier: GPL-2.0

//! The NX workaround: switched while the VM runs, and the recovery of what it has split.

mod common;

use common::{frame, memory, smm_vcpu, tree, vcpu, vm_with, Options};
use kvmrs_model::{
    kvm::{Level, Vcpu, Vm},
    machine::{formats, npt},
    tdp_mmu::nx,
    world::{breaks::ALWAYS, breaks::NEVER, cpu::Access, kvm, variants::Variant, view},
};
use std::sync::Arc;

/// The guest runs code in a huge page; then the workaround is switched on, and off again.
fn switched(variant: Option<Variant>) {
    for (name, format) in formats() {
        let vm = vm_with(format, memory(), Level::PG_2M, Options::default());
        variant
            .into_iter()
            .for_each(|variant| vm.variants.choose(variant));
        let vcpu = vcpu(&vm);
        let pages = || [0, 1].map(|level: usize| vm.stats.pages[level].get());
        kvm::guest_access(&vcpu, frame(256), Access::Fetch, |_| ());
        assert_eq!(pages(), [0, 1], "{name}");

        kvm::switch_nx_huge_pages(&vm, true);
        view::check(&vm);
        kvm::guest_access(&vcpu, frame(256), Access::Read, |_| ());
        assert_eq!(pages(), [0, 1], "{name}: reads get a huge page");
        kvm::guest_access(&vcpu, frame(256), Access::Fetch, |_| ());
        view::check(&vm);
        assert_eq!(pages(), [512, 0], "{name}: code does not");
        assert_eq!(vm.possible_nx_huge_pages().len(), 1, "{name}");

        kvm::switch_nx_huge_pages(&vm, false);
        assert!(vm.possible_nx_huge_pages().is_empty(), "{name}");
        kvm::guest_access(&vcpu, frame(256), Access::Fetch, |_| ());
        assert_eq!(pages(), [0, 1], "{name}");
        kvm::destroy(&vm, vec![vcpu]);
    }
}

#[test]
fn code_leaves_huge_pages_when_the_workaround_is_switched_on() {
    switched(None);
}

#[test]
#[should_panic(expected = "an executable huge page")]
fn what_was_mapped_before_does_not_stay() {
    switched(Some(Variant::NxSwitchedOnly));
}

/// A guest that executes at the start of the two huge pages of its memory, and in the first one in
/// system management mode as well.
fn executing() -> (Arc<Vm>, [Vcpu; 2]) {
    let options = Options {
        nx_huge_pages: true,
        ..Options::default()
    };
    let vm = vm_with(npt(), memory(), Level::PG_2M, options);
    let vcpus = [vcpu(&vm), smm_vcpu(&vm)];
    for (vcpu, index) in [(0, 256), (0, 256 + 512), (1, 256)] {
        kvm::guest_access(&vcpus[vcpu], frame(index), Access::Fetch, |_| ());
    }
    assert_eq!(vm.possible_nx_huge_pages().len(), 3);
    (vm, vcpus)
}

fn is_mapped(vcpu: &Vcpu, index: u64) -> bool {
    tree(vcpu).leaf(frame(index)).is_some()
}

/// The guest reads beside its code. It would lose the code by a huge page, and the huge page by the code.
#[test]
fn what_code_has_split_stays_small() {
    let (vm, vcpus) = executing();
    kvm::guest_access(&vcpus[0], frame(300), Access::Read, |_| ());
    assert!(is_mapped(&vcpus[0], 256), "the code is gone");
    assert_eq!(vm.stats.pages[1].get(), 0);
    kvm::destroy(&vm, vcpus.into());
}

#[test]
fn no_more_is_recovered_than_asked_for() {
    let (vm, vcpus) = executing();
    nx::recover(&vm, 0);
    assert_eq!(vm.possible_nx_huge_pages().len(), 3);
    nx::recover(&vm, 2);
    assert_eq!(vm.possible_nx_huge_pages().len(), 1);
    nx::recover(&vm, 100);
    assert!(vm.possible_nx_huge_pages().is_empty());
    assert_eq!(vm.stats.pages[0].get(), 0);
    kvm::destroy(&vm, vcpus.into());
}

/// A logged slot is mapped in small pages anyway. The other address space has a slot for the same
/// frames, which is not logged.
#[test]
fn logged_slots_are_left_alone() {
    let (vm, vcpus) = executing();
    kvm::start_dirty_log(&vm, &vm.slots()[0], kvm::Split::AtFaults);
    nx::recover(&vm, 3);
    let mapped = [is_mapped(&vcpus[0], 256), is_mapped(&vcpus[0], 256 + 512)];
    assert_eq!(mapped, [true; 2], "to be split again at once");
    assert!(!is_mapped(&vcpus[1], 256), "its slot is not logged");
    assert!(vm.possible_nx_huge_pages().is_empty());
    kvm::destroy(&vm, vcpus.into());
}

/// Where recovery gives way, a notifier would find nothing to flush.
#[test]
fn what_was_cut_off_is_flushed_before_others_run() {
    let (vm, vcpus) = executing();
    let world = vm.clone();
    vm.breaks.set_hook(move || {
        world.breaks.set(NEVER);
        kvm::invalidate(&world, memory(), || ());
        world.breaks.set(ALWAYS);
    });
    vm.breaks.set(ALWAYS);
    nx::recover(&vm, 3);
    assert!(vm.breaks.given() > 0, "it gives way");
    kvm::destroy(&vm, vcpus.into());
}
