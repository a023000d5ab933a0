// SPDX-License-Identifier: GPL-2.0

//! Bugs that changes of single entries have had, each by the shortest way to it.

mod common;

use common::{
    entry::{leaf, link, with_entry},
    frame,
    leaf::with_current,
    memory, vcpu, vm, vm_with, Options,
};
use kvmrs_model::{
    kvm::{
        fault::{error, Request},
        spte::masks,
        types::Pfn,
        Exclusive, LeafBits, LeafSpte, Level, Outcome, PageFault, PendingFlush, Shared, Spte, Vcpu,
        Vm,
    },
    machine::{ept, npt, Masks},
    tdp_mmu,
    world::{cpu::Access, kvm, view::Tree},
};
use std::sync::Arc;

fn spte(vcpu: &Vcpu) -> Spte {
    let tree = Tree::of(vcpu.vm(), &vcpu.root().expect("a root"));
    tree.leaf(frame(0)).expect("a leaf").2
}

/// A VM whose CPUs log dirty pages, with one small page written and then made clean.
fn clean_page(format: Masks) -> (Arc<Vm>, Vcpu) {
    let options = Options {
        cpu_dirty_log: true,
        ..Options::default()
    };
    let vm = vm_with(format, memory(), Level::PG_2M, options);
    let vcpu = vcpu(&vm);
    kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
    kvm::start_dirty_log(&vm, &vm.slots()[0], kvm::Split::AtFaults);
    let leaf = spte(&vcpu);
    assert!(leaf.is_writable() && !leaf.has(masks::dirty()), "{leaf:?}");
    (vm, vcpu)
}

/// The CPU writes, which sets the dirty bit, after the entry was read and before it is changed.
#[test]
fn a_dirty_bit_that_comes_late_is_in_what_a_zap_returns() {
    for format in [npt(), ept()] {
        let (vm, vcpu) = clean_page(format);
        let mut pending = PendingFlush::none(&vm);
        let change = with_entry::<Exclusive, _>(&vcpu, &vm.mmu_write(), Level::PG_4K, |_, read| {
            let leaf = leaf(read());
            let written = vcpu.cpu.access(&vcpu, frame(0), Access::Write, |_| ());
            written.expect("the page is writable");
            let Ok((change, flush)) = leaf.zap();
            (change, flush)
        });
        pending.add(change.1);
        vm.count_pages(Level::PG_4K, -1);
        assert!(change.0.old.has(masks::dirty()), "lost: {:?}", change.0);
        drop(pending);
        kvm::destroy(&vm, vec![vcpu]);
    }
}

#[test]
fn a_dirty_bit_that_comes_late_survives_write_protection() {
    for format in [npt(), ept()] {
        let (vm, vcpu) = clean_page(format);
        let change = with_entry::<Exclusive, _>(&vcpu, &vm.mmu_write(), Level::PG_4K, |_, read| {
            let leaf = leaf(read());
            let written = vcpu.cpu.access(&vcpu, frame(0), Access::Write, |_| ());
            written.expect("the page is writable");
            let Ok(change) = leaf.clear(LeafBits::writable());
            change
        });
        assert!(change.old.has(masks::dirty()), "lost: {change:?}");
        let now = spte(&vcpu);
        assert!(now.has(masks::dirty()) && !now.is_writable(), "{now:?}");
        kvm::destroy(&vm, vec![vcpu]);
    }
}

/// Whoever replaces a link acts on what it read: a link that went since, went with its table.
#[test]
fn a_link_that_was_cut_meanwhile_is_not_collapsed() {
    let vm = vm(npt());
    let vcpu = vcpu(&vm);
    kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
    let pfn = spte(&vcpu);
    with_entry::<Shared, _>(&vcpu, &vm.mmu_read(), Level::PG_2M, |cx, read| {
        let stale = link(read());
        let page = cx.page_of(stale.table());
        tdp_mmu::nx::cut_off(cx, &page, &mut PendingFlush::none(&vm));
        let huge = LeafSpte::new(pfn, Level::PG_2M);
        assert!(stale.collapse(huge).is_err(), "a table came back");
        assert!(!read().spte().is_present(), "{:?}", read().spte());
    });
    kvm::destroy(&vm, vec![vcpu]);
}

/// Under PML a nested guest's writes are caught by write protection: the addresses that the CPU
/// would log are the nested guest's.
#[test]
fn nested_guests_lose_the_right_to_write_when_they_are_made_clean() {
    for format in [npt(), ept()] {
        let options = Options {
            cpu_dirty_log: true,
            ..Options::default()
        };
        let vm = vm_with(format, memory(), Level::PG_2M, options);
        let vcpu = Vcpu::new(&vm, kvm::role().guest_mode());
        kvm::load_root(&vcpu);
        let slot = &vm.slots()[0];
        kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
        kvm::start_dirty_log(&vm, slot, kvm::Split::AtFaults);
        assert!(!spte(&vcpu).is_writable(), "after the log was started");
        kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
        assert!(spte(&vcpu).is_writable());
        assert!(kvm::harvest(&vm, slot).contains(&frame(0)));
        assert!(!spte(&vcpu).is_writable(), "after the log was taken");
        kvm::destroy(&vm, vec![vcpu]);
    }
}

/// A slot is deleted before what it mapped is zapped: a fault in between finds a leaf, and has no
/// pfn to compare it with. A guest can bring that about, so it is nobody's bug.
#[test]
fn a_fault_without_a_slot_may_find_a_leaf() {
    let vm = vm(npt());
    let vcpu = vcpu(&vm);
    kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
    let request = Request {
        gfn: frame(0),
        pfn: Pfn::new(0),
        slot: None,
        error_code: error::USER,
        prefetch: false,
        map_writable: false,
        max_level: Level::PG_4K,
    };
    let root = vcpu.root().expect("a root");
    let outcome = with_current(PageFault::new(&vcpu, request), |fault| {
        tdp_mmu::map::map(&root, fault)
    });
    assert_eq!(outcome, Outcome::Spurious);
    kvm::destroy(&vm, vec![vcpu]);
}
