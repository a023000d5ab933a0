// SPDX-License-Identifier: GPL-2.0

//! Recovery of huge pages that the NX workaround has split.
//!
//! Where a guest executes, KVM maps small pages, because an executable huge page can crash some CPUs. The
//! tables with these small pages are on a list. From time to time the oldest are cut off: where the guest
//! does not execute any more, the next fault maps a huge page.
//!
//! The flush for a table that was cut off comes before the RCU section ends that keeps the table, and
//! before `mmu_lock` goes: a notifier that finds nothing mapped does not flush.
//!
//! C counterpart: `kvm_recover_nx_huge_pages()`.

use super::change::zap_link;
use crate::{
    kvm::{
        AnySlots,
        Context,
        MemSlot,
        PendingFlush,
        Shared,
        Vm,
        VmPage, //
    },
    sync::rcu, //
};

/// Cuts off up to `most` of the tables that keep KVM from mapping huge pages, the oldest first.
pub fn recover(vm: &Vm, most: u64) {
    vm.with_slots(|slots| recover_in(vm, slots, most));
}

fn recover_in(vm: &Vm, slots: &AnySlots<'_>, most: u64) {
    let mut lock = vm.mmu_read();
    let mut flush = PendingFlush::none(vm);
    let mut rcu = rcu::read_lock();
    for _ in 0..most {
        let Some(page) = lock.take_nx_page(&rcu) else {
            break;
        };
        if !is_logged(slots, &page) {
            if let Some((cx, _)) = Context::enter(&*lock, &rcu, &page) {
                cut_off(cx, &page, &mut flush);
            }
        }
        if vm.wants_break() {
            rcu = lock.give_way(rcu, &mut flush);
        }
    }
    flush.flush();
    drop(rcu);
}

/// Whether writes to the page's memory are logged. It would be mapped in small pages again; when logging
/// ends, all huge pages of the slot are recovered at once.
fn is_logged(slots: &AnySlots<'_>, page: &VmPage<'_>) -> bool {
    slots
        .find(page.role().address_space(), page.gfn())
        .is_some_and(MemSlot::is_dirty_tracked)
}

/// Cuts off the table, if nobody else has.
pub fn cut_off(cx: Context<'_, Shared>, page: &VmPage<'_>, flush: &mut PendingFlush<'_>) {
    let owed = page.parent_link(cx).map(zap_link);
    if let Some(Ok(owed)) = owed {
        flush.add(owed);
    }
}
