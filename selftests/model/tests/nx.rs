// SPDX-License-Identifier: GPL-2.0

//! The NX workaround, switched while the VM runs.

mod common;

use common::{frame, memory, vcpu, vm_with, Options};
use kvmrs_model::{
    kvm::Level,
    machine::formats,
    world::{cpu::Access, kvm, variants::Variant, view},
};

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
