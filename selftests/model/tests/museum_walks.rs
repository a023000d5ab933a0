// SPDX-License-Identifier: GPL-2.0

//! Bugs that walks over several entries or roots have had, each by the shortest way to it.

mod common;

use common::{frame, memory, smm_vcpu, vcpu, vm, vm_with, Options};
use kvmrs_model::{
    kvm::{Gfn, GfnRange, Level, MemSlot, PendingFlush, SlotRange, Vcpu, Vm},
    machine::npt,
    mm::notifier::Ended,
    tdp_mmu::{self, notifier, visitor::GiveWay},
    world::{
        breaks::{ALWAYS, NEVER},
        cpu::Access,
        kvm,
        view::{self, Tree},
    },
};
use std::sync::{Arc, Mutex};

/// Frames of the first, partial huge page, which are mapped as small pages.
fn few() -> GfnRange {
    GfnRange::sized(frame(0), 8)
}

fn leaves(vcpu: &Vcpu) -> Vec<(Gfn, Level)> {
    let tree = Tree::of(vcpu.vm(), &vcpu.root().expect("a root"));
    let leaves = tree.leaves.iter();
    leaves.map(|(gfn, (level, _))| (*gfn, *level)).collect()
}

fn small_pages(vcpu: &Vcpu) -> usize {
    let leaves = leaves(vcpu);
    let small = leaves.iter().filter(|(_, level)| *level == Level::PG_4K);
    small.count()
}

/// A VM whose two address spaces have a huge page each, split because writes are logged.
fn logged() -> (Arc<Vm>, [Vcpu; 2]) {
    let vm = vm(npt());
    let vcpus = [vcpu(&vm), smm_vcpu(&vm)];
    for (vcpu, slot) in vcpus.iter().zip(vm.slots()) {
        kvm::guest_access(vcpu, frame(256), Access::Write, |_| ());
        assert_eq!(leaves(vcpu), [(frame(256), Level::PG_2M)]);
        kvm::start_dirty_log(&vm, slot, kvm::Split::Eagerly);
        assert_eq!(small_pages(vcpu), 512);
    }
    (vm, vcpus)
}

/// A page is zapped by a walk that never gives way. The next walk does, before it has zapped anything
/// itself: then no TLB may hold the page any more.
fn is_flushed_when_the_next_walk_gives_way(zap: impl FnOnce(&Vm)) {
    let vm = vm(npt());
    let (first, second) = (vcpu(&vm), smm_vcpu(&vm));
    kvm::guest_access(&first, few().start, Access::Write, |_| ());
    for page in 1..4 {
        kvm::guest_access(&second, frame(page), Access::Write, |_| ());
    }
    let held = Arc::new(Mutex::new(Vec::new()));
    let (note, cpu) = (held.clone(), first.cpu.clone());
    vm.breaks.set_hook(move || {
        let held = cpu.translations().len();
        note.lock().expect("no panic").push(held);
    });
    vm.breaks.set(ALWAYS);
    zap(&vm);
    vm.breaks.set(NEVER);
    let held = held.lock().expect("no panic").clone();
    assert!(!held.is_empty(), "the walk never gave way");
    assert!(
        held.iter().all(|held| *held == 0),
        "the lock was dropped with {held:?} zapped pages in a TLB"
    );
    vm.breaks.set_hook(|| ());
    kvm::destroy(&vm, vec![first, second]);
}

#[test]
fn a_flush_owed_by_one_root_is_done_when_the_next_ones_walk_gives_way() {
    is_flushed_when_the_next_walk_gives_way(|vm| kvm::zap_range(vm, few()));
}

#[test]
fn a_flush_owed_by_one_slot_is_done_when_the_next_ones_walk_gives_way() {
    is_flushed_when_the_next_walk_gives_way(|vm| {
        notifier::start(vm, MemSlot::host_range_of(few()), GiveWay::WhenAsked);
        notifier::end(vm, Ended::of(&MemSlot::host_range_of(few())));
    });
}

/// C goes over the slots when the attributes of memory change, and when memory of a guest_memfd goes.
#[test]
fn c_is_left_no_flush_that_it_would_keep_while_the_next_walk_gives_way() {
    is_flushed_when_the_next_walk_gives_way(|vm| {
        let mut lock = vm.mmu_write();
        let owed = vm.slots().iter().fold(false, |owed, slot| {
            let range = SlotRange {
                range: few(),
                address_space: slot.address_space(),
                may_block: true,
            };
            owed | tdp_mmu::zap::unmap_slot(&mut lock, range, PendingFlush::none(vm))
        });
        if owed {
            vm.flush_remote_tlbs();
        }
    });
}

#[test]
fn a_walk_gets_further_each_time_it_gives_way() {
    let vm = vm(npt());
    let vcpu = vcpu(&vm);
    for page in 0..8 {
        kvm::guest_access(&vcpu, frame(page), Access::Write, |_| ());
    }
    let mut times = 0;
    vm.breaks.set_hook(move || {
        times += 1;
        assert!(times < 100, "gave way {times} times for 8 pages");
    });
    vm.breaks.set(ALWAYS);
    kvm::zap_range(&vm, few());
    assert!(leaves(&vcpu).is_empty());
    vm.breaks.set(NEVER);
    vm.breaks.set_hook(|| ());
    kvm::destroy(&vm, vec![vcpu]);
}

/// A walk gives way on its way into the second table, whose first entry is a leaf. What was zapped
/// is all there was, whatever frame the walk went on with.
#[test]
fn a_walk_that_gave_way_at_a_table_begins_at_its_first_entry() {
    let vm = vm_with(npt(), memory(), Level::PG_4K, Options::default());
    let vcpu = vcpu(&vm);
    for page in [0, 256, 768] {
        kvm::guest_access(&vcpu, frame(page), Access::Write, |_| ());
    }
    assert_eq!(frame(256), frame(256).round_down(Level::PG_2M));
    vm.breaks.set(ALWAYS);
    kvm::zap_range(&vm, memory());
    vm.breaks.set(NEVER);
    assert_eq!(leaves(&vcpu), [], "left behind");
    kvm::destroy(&vm, vec![vcpu]);
}

/// While a notifier's walk gives way, its root becomes invalid and loses all other references.
#[test]
fn a_root_stays_while_its_walk_gives_way() {
    let vm = vm(npt());
    let vcpu = Arc::new(vcpu(&vm));
    for page in 0..8 {
        kvm::guest_access(&vcpu, frame(page), Access::Write, |_| ());
    }
    let (weak, other) = (Arc::downgrade(&vm), vcpu.clone());
    vm.breaks.set_hook(move || {
        let vm = weak.upgrade().expect("the VM");
        kvm::zap_all_fast(&vm);
        kvm::unload_root(&other);
    });
    vm.breaks.set(ALWAYS);
    kvm::invalidate(&vm, few(), || ());
    vm.breaks.set(NEVER);
    vm.breaks.set_hook(|| ());
    assert!(view::roots(&vm).is_empty(), "the last reference was put");
    let vcpu = Arc::into_inner(vcpu).expect("the hook is gone");
    kvm::destroy(&vm, vec![vcpu]);
}

#[test]
fn a_valid_root_outlives_the_vcpus_that_use_it() {
    let vm = vm(npt());
    let vcpu = vcpu(&vm);
    kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
    let root = vcpu.root().expect("a root").id();
    kvm::unload_root(&vcpu);
    assert_eq!(view::roots(&vm).len(), 1, "it went with its last vCPU");
    kvm::load_root(&vcpu);
    assert_eq!(vcpu.root().expect("a root").id(), root);
    assert_eq!(leaves(&vcpu), [(frame(0), Level::PG_4K)]);
    kvm::destroy(&vm, vec![vcpu]);
}

#[test]
fn recovery_stays_in_the_slots_address_space() {
    let (vm, vcpus) = logged();
    kvm::stop_dirty_log(&vm, &vm.slots()[0]);
    assert_eq!(leaves(&vcpus[0]), [(frame(256), Level::PG_2M)]);
    assert_eq!(small_pages(&vcpus[1]), 512, "its slot is still logged");
    kvm::destroy(&vm, vcpus.into());
}

#[test]
fn a_logged_slot_is_not_recovered() {
    let (vm, vcpus) = logged();
    kvm::recover(&vm, &vm.slots()[0]);
    assert_eq!(small_pages(&vcpus[0]), 512, "to be split again at once");
    kvm::destroy(&vm, vcpus.into());
}

/// The slot's first frames are mapped by a table that begins before it. The model fails whoever looks
/// up a frame in a slot that it is not in.
#[test]
fn recovery_does_not_look_up_frames_outside_of_the_slot() {
    let vm = vm(npt());
    let vcpu = vcpu(&vm);
    assert!(frame(0).round_down(Level::PG_2M) < vm.slots()[0].range().start);
    kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
    kvm::recover(&vm, &vm.slots()[0]);
    assert_eq!(leaves(&vcpu), [(frame(0), Level::PG_4K)]);
    kvm::destroy(&vm, vec![vcpu]);
}

/// CPUs go on using the table until they flush.
#[test]
fn a_table_that_the_nx_worker_cuts_off_is_flushed() {
    let options = Options {
        nx_huge_pages: true,
        ..Options::default()
    };
    let vm = vm_with(npt(), memory(), Level::PG_2M, options);
    let vcpu = vcpu(&vm);
    kvm::guest_access(&vcpu, frame(256), Access::Fetch, |_| ());
    assert_eq!(vm.possible_nx_huge_pages().len(), 1);
    let flushes = vm.stats.flushes.get();
    tdp_mmu::nx::recover(&vm, 1);
    assert!(leaves(&vcpu).is_empty(), "still mapped small");
    assert_eq!(vm.stats.flushes.get(), flushes + 1);
    assert!(vm.possible_nx_huge_pages().is_empty());
    kvm::guest_access(&vcpu, frame(257), Access::Read, |_| ());
    assert_eq!(leaves(&vcpu), [(frame(256), Level::PG_2M)]);
    kvm::destroy(&vm, vec![vcpu]);
}
