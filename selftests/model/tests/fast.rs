// SPDX-License-Identifier: GPL-2.0

//! Faults that only rights of an entry have to change for.

mod common;

use common::{frame, memory, vcpu, vm_with, Options};
use kvmrs_model::{
    kvm::table::{Leaf, TransitionError},
    kvm::{
        fault::error, spte, spte::masks, types::Pfn, Counted, GfnRange, Level, Lockless, Outcome,
        PageFault, Spte, State, Vcpu, Vm,
    },
    machine::{formats, npt, Masks},
    sync::rcu,
    tdp_mmu::{self, lookup},
    world::{
        cpu::Access,
        kvm,
        view::{self, Tree},
    },
};
use std::sync::Arc;

fn world(format: Masks, level: Level) -> (Arc<Vm>, Vcpu) {
    let vm = vm_with(format, memory(), level, Options::default());
    let vcpu = vcpu(&vm);
    (vm, vcpu)
}

fn leaf(vcpu: &Vcpu) -> Spte {
    let tree = Tree::of(vcpu.vm(), &vcpu.root().expect("a root"));
    tree.leaf(frame(0)).expect("a leaf").2
}

/// What the fast path makes of a fault of which the CPU says `error_code`.
fn fast(vcpu: &Vcpu, error_code: u64) -> Option<Outcome> {
    let error_code = error::USER | error_code;
    let fault = PageFault::at(vcpu, frame(0), error_code, false);
    tdp_mmu::fast::page_fault(&fault)
}

const WRITE: u64 = error::PRESENT | error::WRITE;

#[test]
fn a_logged_page_becomes_writable_again() {
    for (name, format) in formats() {
        let (vm, vcpu) = world(format, Level::PG_4K);
        let slot = &vm.slots()[0];
        kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
        assert_eq!(fast(&vcpu, WRITE), Some(Outcome::Spurious), "{name}");
        kvm::start_dirty_log(&vm, slot, kvm::Split::Eagerly);
        assert!(!leaf(&vcpu).is_writable(), "{name}");

        assert_eq!(fast(&vcpu, error::WRITE | error::RESERVED), None, "{name}");
        assert_eq!(fast(&vcpu, WRITE), Some(Outcome::Fixed), "{name}");
        assert!(leaf(&vcpu).is_writable(), "{name}");
        assert!(kvm::harvest(&vm, slot).contains(&frame(0)), "{name}");
        assert_eq!(vm.stats.faults[Counted::Fast as usize].get(), 2, "{name}");
        view::check(&vm);
        kvm::destroy(&vm, vec![vcpu]);
    }
}

/// Only the slow path can ask who tracks writes, and make small pages of a huge one.
#[test]
fn who_has_to_ask_takes_the_lock() {
    for (name, format) in formats() {
        let (vm, vcpu) = world(format, Level::PG_2M);
        kvm::guest_access(&vcpu, frame(256), Access::Write, |_| ());
        kvm::start_dirty_log(&vm, &vm.slots()[0], kvm::Split::AtFaults);
        let fault = PageFault::at(&vcpu, frame(256), error::USER | WRITE, false);
        assert_eq!(tdp_mmu::fast::page_fault(&fault), None, "{name}: huge");

        kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
        kvm::write_track(&vm, frame(0));
        assert_eq!(fast(&vcpu, WRITE), None, "{name}: tracked");
        let outcome = kvm::fault(&vcpu, frame(0), Access::Write);
        assert_eq!(outcome, Outcome::WriteProtected, "{name}");
        kvm::destroy(&vm, vec![vcpu]);
    }
}

/// Without accessed bits an old page is one that cannot be accessed, until somebody does.
#[test]
fn an_old_page_is_made_accessible() {
    for (name, format) in formats() {
        let (vm, vcpu) = world(format, Level::PG_4K);
        kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
        let before = leaf(&vcpu);
        kvm::age(&vm, GfnRange::one(frame(0)));
        let outcome = fast(&vcpu, 0);
        if format.ad_enabled {
            assert_eq!(outcome, None, "{name}: there is no such page");
        } else {
            assert_eq!(outcome, Some(Outcome::Fixed), "{name}");
            let read_only = before.without(spte::WRITABLE);
            assert_eq!(leaf(&vcpu), read_only, "{name}: a read asks for no more");
            assert_eq!(fast(&vcpu, WRITE), Some(Outcome::Fixed), "{name}");
            assert_eq!(leaf(&vcpu), before, "{name}");
        }
        kvm::destroy(&vm, vec![vcpu]);
    }
}

/// Lends `f` the leaf that maps the frame, without any lock.
fn with_leaf<R>(vcpu: &Vcpu, f: impl FnOnce(Leaf<'_, Lockless>) -> R) -> R {
    let rcu = rcu::read_lock();
    let root = vcpu.root().expect("a root");
    match lookup::last_on_path(&rcu, &root, frame(0)) {
        Some((_, State::Leaf(leaf))) => f(leaf),
        _ => panic!("the frame is not mapped"),
    }
}

#[test]
fn nothing_but_rights_is_given_back() {
    let (vm, vcpu) = world(npt(), Level::PG_4K);
    kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
    kvm::write_track(&vm, frame(0));
    let before = leaf(&vcpu);
    let other = Pfn::new(before.pfn().raw() ^ 1).addr() | before.without(before.pfn().addr()).raw();
    for wrong in [
        before.with(spte::WRITABLE),
        before.with(masks::mmu_writable()),
        Spte::new(other),
    ] {
        let result = with_leaf(&vcpu, |leaf| leaf.restore(wrong));
        assert_eq!(result, Err(TransitionError::Refused));
        assert!(vm.take_bug(), "{wrong:?}");
        assert_eq!(leaf(&vcpu), before);
    }
    kvm::destroy(&vm, vec![vcpu]);
}
