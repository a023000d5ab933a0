// SPDX-License-Identifier: GPL-2.0

//! The way of a fault to its page, and what may come in between.

mod common;

use common::{frame, guest_with, tree};
use kvmrs_model::{
    kvm::{fault::error, Counted, Gfn, GfnRange, Level, Outcome, PageFault, Vcpu, Vm},
    machine::{formats, npt},
    tdp_mmu,
    world::{breaks::Hook, cpu::Access, kvm, notifier::Notifier, view},
};
use std::sync::{
    atomic::{AtomicU32, Ordering::SeqCst},
    Arc, Mutex,
};

/// A frame in the middle of a page of 2 MiB.
const INNER: u64 = 256 + 100;

fn leaf_level(vcpu: &Vcpu, gfn: Gfn) -> Option<Level> {
    tree(vcpu).leaf(gfn).map(|(_, level, _)| level)
}

fn counted(vm: &Vm, counted: Counted) -> i64 {
    vm.stats.faults[counted as usize].get()
}

/// Lets `meanwhile` happen once, where `at` says.
fn once(at: &Hook, meanwhile: impl FnOnce() + Send + 'static) {
    let mut meanwhile = Some(meanwhile);
    at.set(move || {
        if let Some(meanwhile) = meanwhile.take() {
            meanwhile();
        }
    });
}

/// Counts look-ups.
fn look_ups(vm: &Vm) -> Arc<AtomicU32> {
    let count = Arc::new(AtomicU32::new(0));
    let counter = count.clone();
    vm.lookups.set(move || {
        counter.fetch_add(1, SeqCst);
    });
    count
}

/// The end, without what was to happen.
fn destroy(vm: Arc<Vm>, vcpu: Vcpu) {
    vm.lookups.set(|| ());
    vm.waits.set(|| ());
    view::check(&vm);
    kvm::destroy(&vm, vec![vcpu]);
}

/// The host moves `gfn` to other memory.
fn moves(vm: &Vm, gfn: Gfn) {
    kvm::invalidate(vm, GfnRange::one(gfn), || vm.primary.move_small(gfn));
}

/// It goes each time as soon as it was looked up, or when nothing but the lock is left to be taken.
#[test]
fn a_page_that_goes_once_it_was_looked_up_is_not_mapped() {
    for (name, format) in formats() {
        for late in [false, true] {
            let (vm, vcpu) = guest_with(format, Level::PG_4K);
            let host = vm.clone();
            let at = if late { &vm.waits } else { &vm.lookups };
            at.set(move || moves(&host, frame(0)));
            let outcome = kvm::fault(&vcpu, frame(0), Access::Write);
            assert_eq!(outcome, Outcome::Retry, "{name}: a stale page");
            at.set(|| ());
            assert_eq!(leaf_level(&vcpu, frame(0)), None, "{name}");
            assert_eq!(counted(&vm, Counted::Invalidated), 1, "{name}");
            assert_eq!(vm.stats.page_references.get(), 0, "{name}");
            kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
            assert_eq!(counted(&vm, Counted::Raced), 0, "{name}");
            destroy(vm, vcpu);
        }
    }
}

/// The look-up has the host move the page, or something else does meanwhile. The guest need not fault again.
#[test]
fn a_page_that_has_moved_is_mapped_where_it_is_now() {
    for (name, format) in formats() {
        let (vm, vcpu) = guest_with(format, Level::PG_4K);
        let host = vm.clone();
        once(&vm.lookups, move || moves(&host, frame(0)));
        let outcome = kvm::fault(&vcpu, frame(0), Access::Write);
        assert_eq!(outcome, Outcome::Fixed, "{name}");
        assert_eq!(counted(&vm, Counted::Invalidated), 0, "{name}");
        assert_eq!(vm.stats.page_references.get(), 0, "{name}");
        destroy(vm, vcpu);
    }
}

/// It is not even looked up again while it goes on going, nor once userspace has made it private.
#[test]
fn a_page_that_has_moved_is_looked_up_twice_only_if_that_helps() {
    for private in [false, true] {
        let (vm, vcpu) = guest_with(npt(), Level::PG_4K);
        let (host, going) = (vm.clone(), GfnRange::one(frame(0)));
        let (looked_up, started) = (Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new(None)));
        let (counter, keep) = (looked_up.clone(), started.clone());
        vm.lookups.set(move || {
            counter.fetch_add(1, SeqCst);
            if private {
                return kvm::make_private(&host, going);
            }
            let notifier = Notifier::start(&host, going, true);
            *keep.lock().expect("one thread") = Some(notifier);
        });
        let outcome = kvm::fault(&vcpu, frame(0), Access::Read);
        assert_eq!(outcome, Outcome::Retry, "private: {private}");
        assert_eq!(looked_up.load(SeqCst), 1, "private: {private}");
        let notifier = started.lock().expect("one thread").take();
        notifier.into_iter().for_each(|notifier| notifier.end(&vm));
        destroy(vm, vcpu);
    }
}

/// The page is looked up before the notifier starts, and the lock taken before it ends.
#[test]
fn a_page_that_is_going_is_not_mapped() {
    for late in [false, true] {
        let (vm, vcpu) = guest_with(npt(), Level::PG_4K);
        let (host, started) = (vm.clone(), Arc::new(Mutex::new(None)));
        let keep = started.clone();
        let at = if late { &vm.waits } else { &vm.lookups };
        once(at, move || {
            let notifier = Notifier::start(&host, GfnRange::one(frame(0)), true);
            *keep.lock().expect("one thread") = Some(notifier);
        });
        assert_eq!(kvm::fault(&vcpu, frame(0), Access::Read), Outcome::Retry);
        assert_eq!(leaf_level(&vcpu, frame(0)), None);
        let notifier = started.lock().expect("one thread").take();
        notifier.expect("it has started").end(&vm);
        destroy(vm, vcpu);
    }
}

/// What the host does elsewhere makes no fault start again, until there are more ends than the record
/// has places for.
#[test]
fn a_page_is_mapped_whatever_goes_elsewhere() {
    for (ends, outcome) in [
        (1, Outcome::Fixed),
        (32, Outcome::Fixed),
        (33, Outcome::Retry),
    ] {
        let (vm, vcpu) = guest_with(npt(), Level::PG_4K);
        let going_on = Notifier::start(&vm, GfnRange::one(frame(900)), true);
        let host = vm.clone();
        once(&vm.waits, move || {
            (1..=ends).for_each(|index| moves(&host, frame(index)));
        });
        let found = kvm::fault(&vcpu, frame(0), Access::Write);
        assert_eq!(found, outcome, "{ends}");
        going_on.end(&vm);
        destroy(vm, vcpu);
    }
}

/// The record has places for eight. C's range has them all.
#[test]
fn more_than_the_record_has_places_for_hold_nobody_up_elsewhere() {
    let (vm, vcpu) = guest_with(npt(), Level::PG_4K);
    let start = |index| Notifier::start(&vm, GfnRange::one(frame(index)), true);
    let many: Vec<_> = (100..109).map(start).collect();
    assert_eq!(kvm::fault(&vcpu, frame(0), Access::Write), Outcome::Fixed);
    assert_eq!(kvm::fault(&vcpu, frame(108), Access::Write), Outcome::Retry);
    many.into_iter().for_each(|notifier| notifier.end(&vm));
    destroy(vm, vcpu);
}

/// While a notifier goes on, its frames are not even looked up: that could make it wait.
#[test]
fn nobody_looks_up_what_is_going() {
    let (vm, vcpu) = guest_with(npt(), Level::PG_4K);
    let count = look_ups(&vm);
    let notifier = Notifier::start(&vm, GfnRange::one(frame(0)), true);
    assert_eq!(kvm::fault(&vcpu, frame(0), Access::Read), Outcome::Retry);
    assert_eq!(count.load(SeqCst), 0, "looked up in vain");
    assert_eq!(counted(&vm, Counted::Invalidated), 1);
    notifier.end(&vm);
    destroy(vm, vcpu);
}

/// A notifier has one frame of a huge page. The others may be mapped, but in small pages: as the host
/// would have to say that it splits the page, this takes a host that only takes attributes away.
#[test]
fn a_huge_page_has_no_frame_that_is_going() {
    for (name, format) in formats() {
        let (vm, vcpu) = guest_with(format, Level::PG_2M);
        let notifier = Notifier::start(&vm, GfnRange::one(frame(INNER)), true);
        for (index, outcome) in [(INNER, Outcome::Retry), (INNER + 1, Outcome::Fixed)] {
            let fault = kvm::fault(&vcpu, frame(index), Access::Write);
            assert_eq!(fault, outcome, "{name}");
        }
        let level = leaf_level(&vcpu, frame(INNER + 1));
        assert_eq!(level, Some(Level::PG_4K), "{name}: over what is going");
        assert_eq!(leaf_level(&vcpu, frame(INNER)), None, "{name}");

        let elsewhere = frame(INNER + 512);
        kvm::fault(&vcpu, elsewhere, Access::Write);
        let level = leaf_level(&vcpu, elsewhere);
        assert_eq!(level, Some(Level::PG_2M), "{name}: nobody takes it away");
        notifier.end(&vm);
        destroy(vm, vcpu);
    }
}

/// The root becomes invalid while the page is looked up.
#[test]
fn nothing_is_mapped_in_a_root_that_is_not_valid() {
    let (vm, vcpu) = guest_with(npt(), Level::PG_4K);
    let zapper = vm.clone();
    once(&vm.lookups, move || kvm::zap_all_fast(&zapper));
    assert_eq!(kvm::fault(&vcpu, frame(0), Access::Read), Outcome::Retry);
    assert_eq!(counted(&vm, Counted::ObsoleteRoot), 1);
    assert_eq!(vm.stats.page_references.get(), 0);
    kvm::guest_access(&vcpu, frame(0), Access::Read, |_| ());
    destroy(vm, vcpu);
}

/// Whatever becomes of a page that was looked up.
#[test]
fn each_reference_to_a_page_is_given_back() {
    let (vm, vcpu) = guest_with(npt(), Level::PG_4K);
    vm.set_write_tracked(frame(2), true);
    let held = || vm.stats.page_references.get();
    let marked = || vm.stats.pages_marked.get();
    for (number, index, access, outcome) in [
        (1, 0, Access::Read, Outcome::Fixed),
        (2, 1, Access::Write, Outcome::Fixed),
        (3, 2, Access::Write, Outcome::WriteProtected),
        (4, 2, Access::Read, Outcome::Spurious),
    ] {
        assert_eq!(kvm::fault(&vcpu, frame(index), access), outcome);
        assert_eq!((held(), marked()), (0, number), "{index}");
    }
    let host = vm.clone();
    once(&vm.waits, move || moves(&host, frame(3)));
    assert_eq!(kvm::fault(&vcpu, frame(3), Access::Write), Outcome::Retry);
    assert_eq!((held(), marked()), (0, 4), "it was not mapped");
    let fault = PageFault::at(&vcpu, frame(3), error::USER, false);
    let resolved = fault.snapshot().look_up();
    assert_eq!(held(), 1);
    drop(resolved);
    assert_eq!(
        (held(), marked()),
        (0, 4),
        "dropped before the lock is taken"
    );
    destroy(vm, vcpu);
}

/// What the guest takes the memory for is not what userspace has made it: userspace has to decide, and
/// nothing is looked up.
#[test]
fn attributes_decide_before_the_page() {
    let (vm, vcpu) = guest_with(npt(), Level::PG_4K);
    let count = look_ups(&vm);
    kvm::make_private(&vm, GfnRange::one(frame(0)));
    for (index, private) in [(0, 0), (1, error::PRIVATE)] {
        for present in [0, error::PRESENT | error::WRITE] {
            let error_code = error::USER | private | present;
            let fault = PageFault::at(&vcpu, frame(index), error_code, false);
            let outcome = tdp_mmu::fault::page_fault(fault);
            assert!(
                matches!(outcome, Outcome::Failed(_)),
                "{index}: {outcome:?}"
            );
        }
    }
    assert_eq!(count.load(SeqCst), 0);
    destroy(vm, vcpu);
}
