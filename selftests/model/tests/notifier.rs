// SPDX-License-Identifier: GPL-2.0

//! The two halves of a notifier: what each does, and that they meet.

mod common;

use common::{frame, tree, Options};
use kvmrs_model::{
    kvm::{memory::Setup, types::Pfn, Gfn, GfnRange, Level, MemSlot, Outcome, Vcpu, Vm},
    machine::npt,
    mm::{
        notifier::{Ended, Released},
        HostRange,
    },
    tdp_mmu::{notifier, visitor::GiveWay},
    world::{breaks::ALWAYS, breaks::NEVER, cpu::Access, kvm, notifier::Notifier},
};
use std::sync::Arc;

/// The host addresses of `count` frames from the one at `index` of the VM's memory.
fn host(index: u64, count: u64) -> HostRange {
    MemSlot::host_range_of(GfnRange::sized(frame(index), count))
}

/// A VM with memory in small pages, of which a guest uses the first ones.
fn world(pages: u64) -> (Arc<Vm>, Vcpu) {
    let vm = common::vm_with(npt(), common::memory(), Level::PG_4K, Options::default());
    let vcpu = common::vcpu(&vm);
    for index in 0..pages {
        kvm::guest_access(&vcpu, frame(index), Access::Write, |_| ());
    }
    (vm, vcpu)
}

/// Whether the frame at `index` is mapped.
fn is_mapped(vcpu: &Vcpu, index: u64) -> bool {
    tree(vcpu).leaf(frame(index)).is_some()
}

fn mapped(vcpu: &Vcpu, count: u64) -> Vec<u64> {
    (0..count).filter(|index| is_mapped(vcpu, *index)).collect()
}

/// The second half.
fn end(vm: &Vm, range: HostRange) {
    notifier::end(vm, Ended::of(&range));
}

/// Both halves, with `change` in between, of which the host knows.
fn notify(vm: &Vm, range: HostRange, give_way: GiveWay, change: impl FnOnce()) {
    let frames = [range.start, range.end].map(|address| Gfn::of_addr(address as u64));
    let frames = GfnRange::new(frames[0], frames[1]);
    let notifier = Notifier::start(vm, frames, give_way == GiveWay::WhenAsked);
    change();
    notifier.end(vm);
}

#[test]
fn between_its_halves_nothing_is_mapped() {
    for give_way in [GiveWay::WhenAsked, GiveWay::Never] {
        let (vm, vcpu) = world(4);
        notify(&vm, host(0, 2), give_way, || {
            assert!(vm.slots_update_is_blocked(), "slots could change");
            assert_eq!(vm.times_reclaimed(), 1);
            assert_eq!(mapped(&vcpu, 4), [2, 3]);
            assert_eq!(kvm::fault(&vcpu, frame(0), Access::Write), Outcome::Retry);
            vm.primary.populate(frame(0), Level::PG_4K);
        });
        assert!(!vm.slots_update_is_blocked() && !vm.is_bugged());
        kvm::guest_access(&vcpu, frame(0), Access::Read, |pfn| {
            assert!(vm.primary.holds(frame(0), Pfn::new(pfn)));
        });
        kvm::destroy(&vm, vec![vcpu]);
    }
}

#[test]
fn one_flush_is_enough() {
    let (vm, vcpu) = world(64);
    let before = vm.stats.flushes.get();
    notify(&vm, host(0, 64), GiveWay::WhenAsked, || ());
    assert_eq!(vm.stats.flushes.get() - before, 1);
    notify(&vm, host(0, 64), GiveWay::WhenAsked, || ());
    assert_eq!(vm.stats.flushes.get() - before, 1, "there was nothing");
    kvm::destroy(&vm, vec![vcpu]);
}

/// A walk gives way in the middle, and faults on what it has passed, and on what it has not reached.
#[test]
fn all_of_it_is_known_before_the_first_is_zapped() {
    let (vm, vcpu) = world(8);
    let vcpu = Arc::new(vcpu);
    let (guest, world) = (vcpu.clone(), vm.clone());
    vm.breaks.set_hook(move || {
        world.breaks.set(NEVER);
        for index in 0..8 {
            let outcome = match mapped(&guest, 8).contains(&index) {
                true => Outcome::Spurious,
                false => Outcome::Retry,
            };
            let fault = kvm::fault(&guest, frame(index), Access::Write);
            assert_eq!(fault, outcome, "{index}");
        }
        world.breaks.set(ALWAYS);
    });
    vm.breaks.set(ALWAYS);
    notifier::start(&vm, host(0, 8), GiveWay::WhenAsked);
    assert!(vm.breaks.given() > 0, "it gives way");
    vm.breaks.set(NEVER);
    assert_eq!(mapped(&vcpu, 8), []);
    end(&vm, host(0, 8));
    vm.breaks.set_hook(|| ());
    let vcpu = Arc::into_inner(vcpu).expect("the hook is gone");
    kvm::destroy(&vm, vec![vcpu]);
}

#[test]
fn an_end_without_its_start_is_a_bug_and_no_hang() {
    let (vm, vcpu) = world(2);
    notifier::start(&vm, host(0, 2), GiveWay::WhenAsked);
    end(&vm, host(0, 1));
    assert!(vm.take_bug(), "no start had this range");
    assert_eq!(vm.recorded_invalidations(), 1);
    end(&vm, host(0, 2));
    assert!(vm.take_bug(), "one end too many");
    assert_eq!(vm.recorded_invalidations(), 0);
    end(&vm, host(0, 2));
    assert!(vm.take_bug(), "neither of the two has begun");
    assert_eq!(vm.stats.unmatched.get(), 3, "each counts once");
    kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
    kvm::destroy(&vm, vec![vcpu]);
}

/// Slots that come in between: the end must not end what has not begun.
#[test]
fn an_end_that_finds_another_slot_is_a_bug() {
    let (vm, vcpu) = world(2);
    vm.hide_slots(true);
    notifier::start(&vm, host(0, 2), GiveWay::WhenAsked);
    vm.hide_slots(false);
    end(&vm, host(0, 2));
    assert!(vm.take_bug() && !vm.invalidations.any());
    assert_eq!(vm.stats.unmatched.get(), 1);
    kvm::destroy(&vm, vec![vcpu]);
}

#[test]
fn many_at_once_end_in_any_order() {
    let (vm, vcpu) = world(16);
    for index in 0..16 {
        notifier::start(&vm, host(index, 1), GiveWay::WhenAsked);
    }
    assert_eq!(vm.recorded_invalidations(), 16);
    for index in (0..16).rev() {
        end(&vm, host(index, 1));
    }
    assert!(vm.recorded_invalidations() == 0 && !vm.invalidations.any());
    assert!(!vm.is_bugged() && !vm.slots_update_is_blocked());
    assert_eq!(vm.stats.unmatched.get(), 0);
    kvm::destroy(&vm, vec![vcpu]);
}

#[test]
fn aging_takes_no_lock() {
    let (vm, vcpu) = world(2);
    let lock = vm.mmu_write();
    assert!(notifier::test_young(&vm, host(1, 1).start));
    assert!(notifier::clear_young(&vm, host(0, 2)));
    assert!(!notifier::clear_young(&vm, host(0, 2)));
    assert!(!notifier::test_young(&vm, host(1, 1).start));
    drop(lock);
    kvm::destroy(&vm, vec![vcpu]);
}

#[test]
fn nothing_stays_mapped_when_the_address_space_goes() {
    let (vm, vcpu) = world(4);
    notifier::release(&vm, Released::now());
    assert_eq!((mapped(&vcpu, 4), vm.times_reclaimed()), (vec![], 1));
    kvm::destroy(&vm, vec![vcpu]);
}

/// One that nobody ends, and one that ends in another VM: a bug of the VMs, and no hang.
#[test]
fn what_has_begun_must_end_where_it_began() {
    let (vm, vcpu) = world(1);
    let other = Vm::new(Setup {
        slots: common::slots(common::memory()),
        nx_huge_pages: false,
        cpu_dirty_log: false,
    });
    let frames = GfnRange::one(frame(0));
    drop(vm.mmu_write().begin(host(0, 1), frames));
    assert!(vm.take_bug(), "it was dropped");
    let range = host(0, 1);
    let begun = vm
        .mmu_write()
        .begun(&Ended::of(&range))
        .expect("it is in the record");
    other.mmu_write().end(begun);
    assert!(vm.take_bug() && other.take_bug());
    kvm::destroy(&vm, vec![vcpu]);
}
