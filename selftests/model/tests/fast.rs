// SPDX-License-Identifier: GPL-2.0

//! Faults that only rights of an entry have to change for.

mod common;

use common::{frame, guest_with, tree};
use kvmrs_model::{
    kvm::{fault::error, spte, Counted, Gfn, GfnRange, Level, Outcome, PageFault, Spte, Vcpu},
    machine::formats,
    tdp_mmu,
    world::{cpu::Access, kvm, view},
};

fn leaf(vcpu: &Vcpu) -> Spte {
    tree(vcpu).leaf(frame(0)).expect("a leaf").2
}

/// What the fast path makes of a fault at the first frame, of which the CPU says `error_code`.
fn fast(vcpu: &Vcpu, error_code: u64) -> Option<Outcome> {
    fast_at(vcpu, frame(0), error_code)
}

fn fast_at(vcpu: &Vcpu, gfn: Gfn, error_code: u64) -> Option<Outcome> {
    let fault = PageFault::at(vcpu, gfn, error::USER | error_code, false);
    tdp_mmu::fast::page_fault(&fault)
}

const WRITE: u64 = error::PRESENT | error::WRITE;

#[test]
fn a_logged_page_becomes_writable_again() {
    for (name, format) in formats() {
        let (vm, vcpu) = guest_with(format, Level::PG_4K);
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
        let (vm, vcpu) = guest_with(format, Level::PG_2M);
        kvm::guest_access(&vcpu, frame(256), Access::Write, |_| ());
        kvm::start_dirty_log(&vm, &vm.slots()[0], kvm::Split::AtFaults);
        assert_eq!(fast_at(&vcpu, frame(256), WRITE), None, "{name}: huge");

        kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
        kvm::write_track(&vm, frame(0));
        assert_eq!(fast(&vcpu, WRITE), None, "{name}: tracked");
        kvm::age(&vm, GfnRange::one(frame(0)));
        assert_eq!(fast(&vcpu, WRITE), None, "{name}: tracked, and old");
        let outcome = kvm::fault(&vcpu, frame(0), Access::Write);
        assert_eq!(outcome, Outcome::WriteProtected, "{name}");
        kvm::destroy(&vm, vec![vcpu]);
    }
}

/// Without accessed bits an old page is one that cannot be accessed, until somebody does.
#[test]
fn an_old_page_is_made_accessible() {
    for (name, format) in formats() {
        let (vm, vcpu) = guest_with(format, Level::PG_4K);
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
