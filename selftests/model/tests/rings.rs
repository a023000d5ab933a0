// SPDX-License-Identifier: GPL-2.0

//! Dirty rings: what is pushed is collected and reset in time, and nothing else is pushed.

mod common;

use common::{frame, memory, vcpu, vm_with, Options};
use kvmrs_model::{
    kvm::{Gfn, Level, Outcome, Vcpu, Vm},
    machine::{formats, npt, Masks},
    world::{cpu::Access, kvm, ring, variants::Variant},
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
