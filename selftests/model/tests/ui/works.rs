// SPDX-License-Identifier: GPL-2.0

//! What the other programs do wrong, done right.

#![allow(dead_code)]

use kvmrs_model::kvm::{
    table::{Absent, Leaf, Link},
    table::{NewTable, SplitTable},
    Context, Entry, Exclusive, Gfn, LeafBits, MemSlot, MmuLock, PageFault, PendingFlush, Shared,
    State, Vcpu, Vm, VmPage,
};
use kvmrs_model::{
    kvm::{
        gpc::{Gpc, GuestPage, Sleeper},
        SlotsHeld,
    },
    mm::HostRange,
    pfncache::refresh::refresh,
    sync::rcu,
};

fn entries(lock: &mut MmuLock<'_, Exclusive>, root: &VmPage<'_>, flush: &mut PendingFlush<'_>) {
    let rcu = rcu::read_lock();
    let Some((cx, table)) = Context::<Exclusive>::enter(&*lock, &rcu, root) else {
        return;
    };
    let Some(entry) = Entry::read(cx, table, Gfn::new(0)) else {
        return;
    };
    let _ = entry.spte();
    if let State::Leaf(leaf) = entry.state() {
        let Ok(_change) = leaf.clear(LeafBits::dirty());
    }
    let rcu = lock.give_way(rcu, flush);
    let ((), rcu) = lock.unlocked(rcu, flush, || ());
    if let Some((_, table)) = Context::<Exclusive>::enter(&*lock, &rcu, root) {
        let _ = table.cell(0).load();
    }
}

fn zap(leaf: Leaf<'_, Shared>, pending: &mut PendingFlush<'_>) {
    if let Ok((_change, flush)) = leaf.zap() {
        pending.add(flush);
    }
}

fn cut(link: Link<'_, Shared>, pending: &mut PendingFlush<'_>) {
    if let Ok((_change, Some(removed), flush)) = link.zap() {
        removed.take_apart(drop);
        pending.add(flush);
    }
}

fn link(first: Absent<'_, Shared>, second: Absent<'_, Shared>, new: NewTable) {
    if let Err(error) = first.link(new) {
        let _ = second.link(error.table);
    }
}

fn split(leaf: Leaf<'_, Shared>, filled: SplitTable) {
    let _ = leaf.split(filled);
}

fn slots(vcpu: &Vcpu, fault: PageFault<'_>) -> (bool, u64) {
    let tracked = fault.slot().is_some_and(MemSlot::is_dirty_tracked);
    (tracked, vcpu.memslots_generation(fault.slots()))
}

fn pages(cache: &Gpc, other: &Gpc, slots: &mut SlotsHeld<'_>) {
    if let Some(page) = GuestPage::pin(cache, slots, 8) {
        let _ =
            GuestPage::pin(other, slots, 8).and_then(|other| other.write_u32(0, page.read_u32(4)?));
    }
    if let Ok(mut task) = Sleeper::new(slots) {
        let _ = refresh(cache, 8, &mut task);
    }
}

fn changes(vm: &Vm, range: HostRange) {
    vm.begin_change(range).invalidate_caches();
}

fn main() {}
