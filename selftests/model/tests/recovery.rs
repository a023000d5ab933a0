// SPDX-License-Identifier: GPL-2.0

//! Recovery of huge pages, where it must leave memory alone.

mod common;

use common::{frame, memory, vcpu, vm};
use kvmrs_model::{
    kvm::{GfnRange, Level},
    machine::npt,
    world::{breaks::ALWAYS, breaks::NEVER, cpu::Access, kvm, view},
};

/// A notifier gives way in the middle of a page that is mapped in small ones. Meanwhile these
/// become a huge page again, as logging has ended, and the huge page is split again: not because
/// logging starts, as that would wait for the notifier. On C a reset of the dirty rings does it.
#[test]
fn a_notifier_that_gave_way_leaves_nothing_behind() {
    let vm = vm(npt());
    let guest = vcpu(&vm);
    let page = GfnRange::sized(frame(256), 512);
    kvm::guest_access(&guest, page.start, Access::Write, |_| ());
    kvm::try_split(&vm, &vm.slots()[0], memory(), Level::PG_4K);

    let host = vm.clone();
    vm.breaks.set_hook(move || {
        host.breaks.set(NEVER);
        kvm::recover(&host, &host.slots()[0]);
        kvm::try_split(&host, &host.slots()[0], page, Level::PG_4K);
    });
    vm.breaks.set(ALWAYS);
    kvm::invalidate(&vm, page, || vm.primary.populate(page.start, Level::PG_2M));
    kvm::destroy(&vm, vec![guest]);
}

/// Memory that becomes private leaves its table behind. The model fails whoever asks how large a
/// page of private memory may be.
#[test]
fn private_memory_is_left_alone() {
    let vm = vm(npt());
    let (guest, slot) = (vcpu(&vm), &vm.slots()[0]);
    kvm::start_dirty_log(&vm, slot, kvm::Split::Eagerly);
    let (first, second) = (frame(256), frame(256 + 512));
    kvm::guest_access(&guest, first, Access::Write, |_| ());
    kvm::guest_access(&guest, second, Access::Write, |_| ());

    kvm::make_private(&vm, GfnRange::sized(first, 512));
    kvm::stop_dirty_log(&vm, slot);
    let leaves = view::Tree::of(&vm, &guest.root().expect("a root")).leaves;
    let leaves: Vec<_> = leaves
        .iter()
        .map(|(gfn, (level, _))| (*gfn, *level))
        .collect();
    assert_eq!(leaves, [(second, Level::PG_2M)]);
    kvm::destroy(&vm, vec![guest]);
}
