// SPDX-License-Identifier: GPL-2.0

//! Two VMs at once: the proof of one does not open the other, and roots go to whom they fit. Nothing
//! happens then, and the VM is marked as broken.

mod common;

use common::{frame, memory, vcpu, vm_with, Options};
use kvmrs_model::{
    kvm::{
        fault::error,
        gpc::{Address, Gpc, GuestPage, Refused, Sleeper},
        log::{RingPages, WantedLog},
        memory::Setup,
        Context, Entry, Level, PageFault, PendingFlush, Role, Root, RootFilter, Shared, SlotsHeld,
        SlotsLocked, State, Vcpu, Vm, Waiver,
    },
    machine::npt,
    pfncache::refresh,
    sync::rcu,
    tdp_mmu::zap::zap_root,
    world::{cpu::Access, gpc::activate, kvm, view::roots},
};
use std::sync::Arc;

/// Two VMs of one machine, each with a vCPU that has mapped a frame.
fn two() -> [(Arc<Vm>, Vcpu); 2] {
    let one = vm_with(npt(), memory(), Level::PG_4K, Options::default());
    let other = Vm::new(Setup {
        slots: common::slots(memory()),
        nx_huge_pages: false,
        cpu_dirty_log: false,
    });
    other.primary.populate(frame(0), Level::PG_4K);
    [one, other].map(|vm| {
        let vcpu = vcpu(&vm);
        kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
        (vm, vcpu)
    })
}

fn end(vms: &[(Arc<Vm>, Vcpu); 2]) {
    let [(one, first), (other, second)] = vms;
    for vcpu in [first, second] {
        kvm::unload_root(vcpu);
    }
    // The machine is the same: nothing of the second is left when tables are counted.
    kvm::zap_all_fast(other);
    kvm::destroy(one, Vec::new());
    kvm::destroy(other, Vec::new());
}

/// A reference to the VM's only root.
fn root(vm: &Vm) -> Root<'_> {
    let root = vm.mmu_read().next_root(None, RootFilter::ALL);
    root.expect("a root")
}

#[test]
fn the_lock_of_one_vm_does_not_open_the_tree_of_another() {
    let vms = two();
    let [(one, _), (other, second)] = &vms;
    let root = second.root().expect("a root");
    {
        let (lock, rcu) = (one.mmu_read(), rcu::read_lock());
        assert!(Context::<Shared>::enter(&*lock, &rcu, &root).is_none());
    }
    assert!(one.take_bug() && !other.is_bugged());

    let (lock, rcu) = (one.mmu_read(), rcu::read_lock());
    let mine = vms[0].1.root().expect("a root");
    let (cx, _) = Context::<Shared>::enter(&*lock, &rcu, &mine).expect("its own VM");
    let (own, mut table) = Context::enter(&**other, &rcu, &root).expect("its own VM");
    while let Some(State::Link(link)) = Entry::read(own, table, frame(0)).map(Entry::state) {
        table = link.table();
    }
    assert!(Entry::read_parent(cx, &own.page_of(table)).is_none());
    assert!(one.take_bug());
    drop(rcu);
    drop(lock);
    end(&vms);
}

#[test]
fn the_lock_of_one_vm_does_not_make_a_page_of_another_current() {
    let vms = two();
    let [(one, _), (other, vcpu)] = &vms;
    let fault = PageFault::at(vcpu, frame(0), error::USER, false);
    let resolved = fault.snapshot().look_up().expect("there is a page");
    assert!(resolved.current(&one.mmu_read()).is_none());
    assert!(other.take_bug() && !one.is_bugged());
    assert_eq!(other.stats.page_references.get(), 0);
    end(&vms);
}

#[test]
fn a_search_for_roots_goes_on_in_its_own_list() {
    let vms = two();
    let [(one, _), (other, _)] = &vms;
    let foreign = root(other);
    let found = one.mmu_read().next_root(Some(&foreign), RootFilter::ALL);
    assert!(found.is_none() && one.take_bug());
    drop(foreign);
    end(&vms);
}

#[test]
fn the_slots_lock_of_one_vm_zaps_no_root_of_another() {
    let vms = two();
    let [(one, _), (other, _)] = &vms;
    one.mmu_write().invalidate_roots(&SlotsLocked::new(other));
    assert!(one.take_bug() && !roots(one)[0].role().is_invalid());

    one.mmu_write().invalidate_roots(&SlotsLocked::new(one));
    let scheduled = root(one);
    let taken = scheduled.take_scheduled_zap(&SlotsLocked::new(other));
    assert!(taken.is_none() && one.take_bug());
    let taken = scheduled.take_scheduled_zap(&SlotsLocked::new(one));
    assert!(taken.is_some(), "it is still there for who may have it");
    zap_root(&mut one.mmu_write(), &scheduled, Waiver::InvalidRoot);
    drop((taken, scheduled));
    end(&vms);
}

#[test]
fn a_vcpu_loads_roots_of_its_vm_and_role() {
    let vms = two();
    let [(one, _), (other, _)] = &vms;
    let nested = Vcpu::new(one, kvm::role().guest_mode());
    for wrong in [root(one), root(other)] {
        nested.set_root(wrong);
        assert!(nested.root().is_none() && one.take_bug());
    }
    let fresh = Vcpu::new(one, kvm::role());
    fresh.set_root(root(one));
    assert!(fresh.root().is_some() && !one.is_bugged());
    kvm::unload_root(&fresh);
    end(&vms);
}

#[test]
fn no_root_is_made_with_a_role_that_no_vcpu_has() {
    let vms = two();
    let [(one, first), _] = &vms;
    one.mmu_write().invalidate_roots(&SlotsLocked::new(one));
    let invalid: Role = roots(one)[0].role();
    let made = one.pages_lock().insert_root(first.alloc_table(), invalid);
    assert!(made.is_none() && one.take_bug());
    assert_eq!(roots(one).len(), 1);
    kvm::zap_all_fast(one);
    end(&vms);
}

#[test]
fn the_slots_of_one_vm_keep_none_of_another() {
    let vms = two();
    let [(one, first), (other, _)] = &vms;
    one.set_generation(5);
    assert_eq!(first.memslots_generation(&SlotsHeld::new(other)), 0);
    assert!(one.take_bug());
    assert_eq!(first.memslots_generation(&SlotsHeld::new(one)), 5);
    end(&vms);
}

#[test]
fn the_slots_of_one_vm_show_no_page_for_a_cache_of_another() {
    let vms = two();
    let [(one, _), (other, _)] = &vms;
    let cache = Gpc::new(one);
    let at = |page, offset| Address::Guest(frame(page).addr() + offset);
    let mut slots = SlotsHeld::new(other);
    // By these slots the first one is in the page that the cache has.
    for address in [at(0, 64), at(1, 0)] {
        activate(&cache, at(0, 0), 8).expect("there is a page");
        assert!(GuestPage::pin(&cache, &slots, 8).is_none());
        let mut task = Sleeper::new(&mut slots).expect("its own");
        let moved = refresh::activate(&cache, address, 8, &mut task);
        assert_eq!(moved, Err(Refused::Foreign));
        assert!(one.take_bug());
        assert!(GuestPage::pin(&cache, &SlotsHeld::new(one), 8).is_none());
    }
    refresh::deactivate(&cache);
    one.check_caches();
    end(&vms);
}

/// C writes by the slot's arrays, under the lock of the VM that it was told.
#[test]
fn a_log_of_one_vm_is_not_harvested_for_another() {
    let vms = two();
    let [(one, _), (other, _)] = &vms;
    let slot = &other.slots()[0];
    kvm::start_dirty_log(other, slot, kvm::Split::Eagerly);
    kvm::guest_access(&vms[1].1, frame(0), Access::Write, |_| ());
    let (mut words, flushes) = ([u64::MAX], one.stats.flushes.get());
    kvm::take_log(one, slot, 0, &mut words);
    assert!(one.take_bug());
    assert_eq!(one.stats.flushes.get(), flushes);
    assert!(RingPages::new(&SlotsLocked::new(one), slot, frame(0), &[1]).is_none());
    assert_eq!(
        kvm::harvest(other, slot),
        [frame(0)].into(),
        "it is still in the log"
    );
    end(&vms);
}

#[test]
fn a_word_of_one_vm_is_not_harvested_by_the_lock_of_another() {
    let vms = two();
    let [(one, _), (other, _)] = &vms;
    let slot = &other.slots()[0];
    kvm::start_dirty_log(other, slot, kvm::Split::Eagerly);
    kvm::guest_access(&vms[1].1, frame(0), Access::Write, |_| ());
    let (locked, words) = (SlotsLocked::new(other), &mut [u64::MAX]);
    let _ = WantedLog::new(&locked, slot, 0, words, false)
        .take()
        .rearm(|taken| {
            let mut flush = PendingFlush::none(one);
            let mut lock = one.mmu_write();
            lock.rearm_word(taken, frame(0), 1, &mut flush);
            flush.finish()
        });
    assert!(one.take_bug() && !other.is_bugged());
    end(&vms);
}

/// C would look frames up in the slot's arrays.
#[test]
fn a_word_that_is_not_all_in_the_slot_is_not_harvested() {
    let vms = two();
    let (other, vcpu) = &vms[1];
    let slot = &other.slots()[0];
    kvm::start_dirty_log(other, slot, kvm::Split::Eagerly);
    kvm::guest_access(vcpu, frame(0), Access::Write, |_| ());
    let (locked, words) = (SlotsLocked::new(other), &mut [u64::MAX]);
    let _ = WantedLog::new(&locked, slot, 0, words, false)
        .take()
        .rearm(|taken| {
            let mut flush = PendingFlush::none(other);
            let last = slot.range().end.prev();
            let mut lock = other.mmu_write();
            lock.rearm_word(taken, last, 0b11, &mut flush);
            flush.finish()
        });
    assert!(other.take_bug());
    end(&vms);
}

#[test]
fn a_flush_of_one_vm_is_not_the_harvests_of_another() {
    let vms = two();
    let [(one, _), (other, vcpu)] = &vms;
    let slot = &other.slots()[0];
    kvm::start_dirty_log(other, slot, kvm::Split::Eagerly);
    kvm::guest_access(vcpu, frame(0), Access::Write, |_| ());
    let before = other.stats.flushes.get();
    let (locked, words) = (SlotsLocked::new(other), &mut [u64::MAX]);
    let _ = WantedLog::new(&locked, slot, 0, words, false)
        .take()
        .rearm(|_| PendingFlush::from_caller(one, true).finish())
        .flush();
    assert_eq!(other.stats.flushes.get(), before + 1);
    end(&vms);
}

#[test]
fn what_is_owed_to_another_vm_is_not_what_a_hold_owes() {
    let vms = two();
    let [(one, _), (other, _)] = &vms;
    let before = one.stats.flushes.get();
    let mut flush = PendingFlush::none(other);
    drop(one.mmu_write().give_way(rcu::read_lock(), &mut flush));
    assert!(one.take_bug());
    assert_eq!(one.stats.flushes.get(), before + 1, "flushed to be safe");
    let mut flush = PendingFlush::none(one);
    drop(one.mmu_write().give_way(rcu::read_lock(), &mut flush));
    assert!(!one.is_bugged());
    end(&vms);
}
