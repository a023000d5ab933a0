// SPDX-License-Identifier: GPL-2.0

//! Orders that C does not have: what goes wrong when a notifier zaps with `mmu_lock` held for read, and
//! that nothing does when the dirty log is taken so.
//!
//! Each scenario that must fail has the trace of the failure as its result: if none is found, it is
//! not the world that forbids the order.

use super::{
    common::Options,
    pair::{explore, World},
};
use kvmrs_model::{
    kvm::{Gfn, GfnRange, Vm},
    machine::npt,
    tdp_mmu,
    world::{cpu::Access, kvm, notifier::Notifier, variants::Variant},
};

/// A notifier that zaps under the lock for read, and flushes for others that do.
const FOR_OTHERS: [Variant; 2] = [
    Variant::NotifierZapsUnderRead,
    Variant::NotifierFlushesForOthers,
];

/// The host moves the first page while a notifier for both frames revokes them too.
fn overlapping_notifiers(variants: &[Variant]) {
    let world = World::new(npt(), Options::default(), 1);
    world.choose(variants);
    world.access(0, 0, Access::Write)();
    let protects = |vm: &Vm| {
        let both = GfnRange::sized(Gfn::new(0), 2);
        Notifier::start(vm, both, true).end(vm);
    };
    world.race([world.kernel(protects), world.moves()]);
    world.end();
}

#[test]
fn two_notifiers_under_write() {
    explore("notifiers, for write", 3, || overlapping_notifiers(&[]));
}

/// The second one finds the entry absent, owes no flush, and returns before the first has flushed.
#[test]
#[should_panic(expected = "a flush was lost")]
fn two_notifiers_under_read() {
    explore("notifiers, for read", 3, || {
        overlapping_notifiers(&[Variant::NotifierZapsUnderRead]);
    });
}

/// It has to flush for the first one.
#[test]
fn two_notifiers_that_flush_for_each_other() {
    explore("notifiers, for read, each flushes for the other", 3, || {
        overlapping_notifiers(&FOR_OTHERS);
    });
}

/// The worker cuts off the table of the frame that the host moves.
fn notifier_and_nx_worker(variants: &[Variant]) {
    let options = Options {
        nx_huge_pages: true,
        ..Options::default()
    };
    let world = World::new(npt(), options, 1);
    world.access(0, 0, Access::Fetch)();
    assert_eq!(world.vm.possible_nx_huge_pages().len(), 1);
    world.choose(variants);
    let worker = world.kernel(|vm| tdp_mmu::nx::recover(vm, 1));
    world.race([worker, world.moves()]);
    world.end();
}

#[test]
fn the_nx_worker_and_a_notifier_under_write() {
    explore("NX worker, notifier for write", 3, || {
        notifier_and_nx_worker(&[])
    });
}

/// The worker is no notifier: nobody flushes for it.
#[test]
#[should_panic(expected = "a flush was lost")]
fn the_nx_worker_and_a_notifier_under_read() {
    explore("NX worker, notifier for read", 3, || {
        notifier_and_nx_worker(&FOR_OTHERS);
    });
}

/// A guest's first write to a logged page, and a harvest.
fn write_and_harvest(with_shadow: bool) {
    let world = World::new(npt(), Options::default(), 1);
    kvm::start_dirty_log(&world.vm, World::slot(&world.vm), kvm::Split::AtFaults);
    if with_shadow {
        world.vm.use_shadow();
    }
    world.write_and_harvest();
}

#[test]
fn a_harvest_under_write() {
    explore("harvest for write", 3, || write_and_harvest(true));
}

/// A fault marks its page before it maps it, and again if the mark was taken before there was anything to
/// write-protect.
#[test]
fn a_harvest_under_read() {
    explore("harvest for read", 3, || write_and_harvest(false));
}
