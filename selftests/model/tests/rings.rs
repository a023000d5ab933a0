// SPDX-License-Identifier: GPL-2.0

//! Dirty rings: what is pushed is collected and reset in time, and nothing else is pushed.

mod common;

use common::{frame, memory, vcpu, vm, vm_with, Options};
use kvmrs_model::{
    kvm::{Gfn, Level, Outcome, Vcpu, Vm},
    machine::{formats, npt, Masks},
    world::{cpu::Access, kvm, ring, variants::Variant, view},
};
use std::{collections::BTreeSet, sync::Arc};

/// A logged VM in small pages, and a vCPU with its ring.
fn logged(format: Masks, cpu_dirty_log: bool) -> (Arc<Vm>, Vcpu) {
    let options = Options {
        cpu_dirty_log,
        dirty_rings: true,
        ..Options::default()
    };
    let vm = vm_with(format, memory(), Level::PG_4K, options);
    let vcpu = vcpu(&vm);
    kvm::start_dirty_log(&vm, &vm.slots()[0], kvm::Split::Eagerly);
    (vm, vcpu)
}

/// The guest writes many frames, in two rounds. Userspace collects when the ring is full, and at the
/// end of each round. Returns what it got.
fn rounds(vcpu: &Vcpu) -> [BTreeSet<Gfn>; 2] {
    [(); 2].map(|()| {
        let mut sent = BTreeSet::new();
        let mut collect = || {
            let new = ring::collect(vcpu.vm());
            sent.extend(new.into_iter().map(|(_, gfn)| gfn));
        };
        for page in 0..40 {
            while kvm::try_access(vcpu, frame(page), Access::Write, |_| ()).is_err() {
                collect();
            }
        }
        collect();
        sent
    })
}

fn assert_all(rounds: [BTreeSet<Gfn>; 2]) {
    let all: BTreeSet<_> = (0..40).map(frame).collect();
    for sent in rounds {
        assert_eq!(sent, all, "writes are not in the rings");
    }
}

#[test]
fn every_write_is_in_a_ring() {
    for (_, format) in formats() {
        for cpu_dirty_log in [false, format.ad_enabled] {
            let (vm, vcpu) = logged(format, cpu_dirty_log);
            assert_all(rounds(&vcpu));
            kvm::destroy(&vm, vec![vcpu]);
        }
    }
}

#[test]
#[should_panic(expected = "writes are not in the rings")]
fn a_reset_makes_writes_count_again() {
    let (vm, vcpu) = logged(npt(), false);
    vm.variants.choose(Variant::RingResetOnly);
    assert_all(rounds(&vcpu));
}

#[test]
#[should_panic(expected = "the dirty ring overflows")]
fn a_vcpu_does_not_run_when_its_ring_is_full() {
    let (vm, vcpu) = logged(npt(), false);
    vm.variants.choose(Variant::RingFullUnseen);
    rounds(&vcpu);
}

/// An entry for a page of a huge one is reset, in a VM whose logs begin with all bits set. It may be from when the slot
/// was logged, or be userspace's own.
#[test]
fn a_reset_splits_no_huge_page_of_a_slot_that_is_not_logged() {
    for logged in [true, false] {
        let vm = vm(npt());
        let (guest, slot) = (vcpu(&vm), &vm.slots()[0]);
        vm.begin_logs_dirty();
        kvm::guest_access(&guest, frame(256), Access::Write, |_| ());
        if logged {
            kvm::start_dirty_log(&vm, slot, kvm::Split::AtFaults);
        }
        ring::reset_one(&vm, slot, frame(256));
        let leaves = view::Tree::of(&vm, &guest.root().expect("a root")).leaves;
        let whole = leaves.values().all(|(level, _)| *level == Level::PG_2M);
        assert_eq!(whole, !logged, "logged: {logged}");
        kvm::destroy(&vm, vec![guest]);
    }
}

/// Pre-faulting does not stop when the ring is full.
#[test]
fn what_is_mapped_in_advance_is_not_pushed() {
    let (vm, vcpu) = logged(npt(), false);
    for page in 0..40 {
        assert_eq!(kvm::prefetch(&vcpu, frame(page)), Outcome::Fixed);
    }
    assert!(ring::collect(&vm).is_empty());
    assert_all(rounds(&vcpu));
    kvm::destroy(&vm, vec![vcpu]);
}
