// SPDX-License-Identifier: GPL-2.0

//! What changes of single operators in tdp_mmu/ could do unnoticed, before these tests.

mod common;

use common::{frame, memory, vcpu, vm_with, Options};
use kvmrs_model::{
    kvm::{Gfn, GfnRange, Level, SlotsLocked, Spte, Vcpu, Vm},
    machine::npt,
    sync::rcu,
    tdp_mmu::{
        dirty::{self, LogBy},
        lookup,
        roots::uninit,
        zap,
    },
    world::{
        breaks::{ALWAYS, NEVER},
        cpu::Access,
        kvm,
        view::{roots, Tree},
    },
};
use std::sync::Arc;

fn leaf(vcpu: &Vcpu, gfn: Gfn) -> Spte {
    let tree = Tree::of(vcpu.vm(), &vcpu.root().expect("a root"));
    tree.leaf(gfn).expect("a leaf").2
}

/// A VM with the first `count` frames written, as small pages.
fn written(count: u64) -> (Arc<Vm>, Vcpu) {
    let vm = vm_with(npt(), memory(), Level::PG_4K, Options::default());
    let vcpu = vcpu(&vm);
    for page in 0..count {
        kvm::guest_access(&vcpu, frame(page), Access::Write, |_| ());
    }
    (vm, vcpu)
}

/// One with a second root of the same address space, which a nested guest uses.
fn with_nested(vm: &Arc<Vm>) -> Vcpu {
    let nested = Vcpu::new(vm, kvm::role().guest_mode());
    kvm::load_root(&nested);
    nested
}

#[test]
fn a_page_is_young_from_its_use_until_it_is_aged() {
    let (vm, vcpu) = written(1);
    let nested = with_nested(&vm);
    for user in [&vcpu, &nested] {
        kvm::guest_access(user, frame(0), Access::Read, |_| ());
    }
    assert!(kvm::test_age(&vm, memory()), "just used");
    assert!(kvm::test_age(&vm, memory()), "looking changes nothing");
    assert!(kvm::age(&vm, memory()));
    for user in [&vcpu, &nested] {
        assert!(!leaf(user, frame(0)).is_accessed(), "in either tree");
    }
    assert!(!kvm::test_age(&vm, memory()));

    vm.flush_remote_tlbs();
    kvm::guest_access(&nested, frame(0), Access::Read, |_| ());
    assert!(kvm::test_age(&vm, memory()), "used in the second tree");
    kvm::destroy(&vm, vec![vcpu, nested]);
}

#[test]
fn write_protection_says_whether_there_was_anything_to_protect() {
    let (vm, vcpu) = written(2);
    let protect = |level| {
        let mut lock = vm.mmu_read();
        dirty::write_protect_slot(&mut lock, &vm.slots()[0], level)
    };
    assert!(!protect(Level::PG_2M), "all pages are small");
    assert!(leaf(&vcpu, frame(0)).is_writable());
    assert!(protect(Level::PG_4K));
    assert!(!leaf(&vcpu, frame(1)).is_writable());
    assert!(!protect(Level::PG_4K), "for the second time");
    vm.flush_remote_tlbs();
    kvm::destroy(&vm, vec![vcpu]);
}

#[test]
fn pages_are_made_clean_by_their_bits_in_the_mask_and_no_others() {
    let (vm, vcpu) = written(140);
    let lock = vm.mmu_write();
    dirty::clear_dirty_masked(
        &lock,
        &vm.slots()[0],
        frame(64),
        0b1_0110,
        LogBy::WriteProtection,
    );
    drop(lock);
    vm.flush_remote_tlbs();
    for page in 0..140 {
        let protected = !leaf(&vcpu, frame(page)).is_writable();
        assert_eq!(protected, [65, 66, 68].contains(&page), "page {page}");
    }
    kvm::destroy(&vm, vec![vcpu]);
}

#[test]
fn tracking_of_writes_owes_a_flush_if_it_takes_rights_away() {
    let (vm, vcpu) = written(1);
    let slot = &vm.slots()[0];
    let track = |gfn, level| {
        let lock = vm.mmu_write();
        let owed = dirty::write_protect_gfn(&lock, slot, gfn, level).into_caller();
        if owed {
            vm.flush_remote_tlbs();
        }
        owed
    };
    assert!(!track(frame(0), Level::PG_2M), "only huge pages");
    assert!(!track(frame(1), Level::PG_4K), "not mapped");
    assert!(track(frame(0), Level::PG_4K));
    let now = leaf(&vcpu, frame(0));
    assert!(!now.is_writable() && !now.is_mmu_writable(), "{now:?}");
    assert!(!track(frame(0), Level::PG_4K), "none is left");
    kvm::destroy(&vm, vec![vcpu]);
}

/// A leaf that is there already says that its frame was writable only if it is.
#[test]
fn a_tracked_frame_stays_protected_when_its_leaf_is_made_anew() {
    let (vm, vcpu) = written(1);
    let gfn = frame(8);
    kvm::write_track(&vm, gfn);
    for access in [Access::Read, Access::Write, Access::Write] {
        let done = kvm::guest_access(&vcpu, gfn, access, |_| ());
        assert_eq!(done.is_some(), access == Access::Read, "{access:?}");
        assert!(!leaf(&vcpu, gfn).is_writable());
    }
    kvm::destroy(&vm, vec![vcpu]);
}

/// Who waits for the lock gets it after each page, not after a tree.
#[test]
fn a_root_is_zapped_in_small_steps() {
    let (vm, vcpu) = written(100);
    let before = vm.breaks.given();
    vm.breaks.set(ALWAYS);
    kvm::zap_all_fast(&vm);
    vm.breaks.set(NEVER);
    let steps = vm.breaks.given() - before;
    assert!(steps >= 99, "{steps} steps for 100 pages");
    kvm::destroy(&vm, vec![vcpu]);
}

#[test]
fn zapping_all_leaves_nothing_in_any_root() {
    let (vm, vcpu) = written(3);
    let nested = with_nested(&vm);
    kvm::guest_access(&nested, frame(0), Access::Write, |_| ());
    vm.mmu_write().invalidate_roots(&SlotsLocked::new(&vm));
    kvm::load_root(&vcpu);
    kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
    assert_eq!(roots(&vm).len(), 3);
    let mut lock = vm.mmu_write();
    zap::zap_all(&mut lock);
    // No vCPU runs when C asks for this; here they might.
    vm.flush_remote_tlbs();
    drop(lock);
    for root in roots(&vm) {
        let tree = Tree::of(&vm, root);
        assert!(tree.leaves.is_empty() && tree.links.is_empty());
    }
    kvm::zap_all_fast(&vm);
    kvm::destroy(&vm, vec![vcpu, nested]);
}

/// The only page that is mapped lies two tables below the link that is to be replaced.
#[test]
fn recovery_finds_the_one_page_that_is_mapped() {
    let gib = GfnRange::sized(Gfn::new(1 << 18), 1 << 18);
    let vm = vm_with(npt(), gib, Level::PG_1G, Options::default());
    let vcpu = vcpu(&vm);
    kvm::start_dirty_log(&vm, &vm.slots()[0], kvm::Split::AtFaults);
    kvm::guest_access(&vcpu, gib.start.add(5 * 512 + 7), Access::Write, |_| ());
    let pages = || vm.stats.pages.each_ref().map(|pages| pages.get());
    assert_eq!(pages(), [1, 0, 0, 0, 0]);
    kvm::stop_dirty_log(&vm, &vm.slots()[0]);
    assert_eq!(pages(), [0, 0, 1, 0, 0]);
    kvm::destroy(&vm, vec![vcpu]);
}

/// The second walk of a recovery may ask for a break as well, but not at the frame at which the
/// first has just come back from one.
#[test]
fn recovery_gets_on_while_it_gives_way() {
    let vm = vm_with(npt(), memory(), Level::PG_2M, Options::default());
    let vcpu = vcpu(&vm);
    for page in [256, 768, 1280] {
        kvm::guest_access(&vcpu, frame(page), Access::Write, |_| ());
    }
    kvm::start_dirty_log(&vm, &vm.slots()[0], kvm::Split::Eagerly);
    assert_eq!(vm.stats.pages[1].get(), 0);
    vm.breaks.set(ALWAYS);
    kvm::stop_dirty_log(&vm, &vm.slots()[0]);
    vm.breaks.set(NEVER);
    assert_eq!(vm.stats.pages[1].get(), 3);
    kvm::destroy(&vm, vec![vcpu]);
}

#[test]
fn a_lookup_sees_each_entry_on_its_way() {
    let (vm, vcpu) = written(1);
    let path = |gfn| {
        let (rcu, mut path) = (rcu::read_lock(), Vec::new());
        let root = vcpu.root().expect("a root");
        lookup::for_each_on_path(&rcu, &root, gfn, |place| {
            path.push((place.level.raw(), place.spte.is_present()));
        });
        path
    };
    let present = [(4, true), (3, true), (2, true), (1, true)];
    assert_eq!(path(frame(0)), present);
    assert_eq!(path(frame(1))[..3], present[..3]);
    assert_eq!(path(frame(1))[3..], [(1, false)]);
    assert_eq!(path(frame(1280)), [(4, true), (3, false)]);
    kvm::destroy(&vm, vec![vcpu]);
}

#[test]
fn a_root_that_is_in_use_at_the_end_does_not_go_unnoticed() {
    let (vm, vcpu) = written(1);
    uninit(&SlotsLocked::new(&vm));
    assert!(vm.is_bugged(), "the vCPU still has its root");
    kvm::unload_root(&vcpu);
    assert!(roots(&vm).is_empty());
}
