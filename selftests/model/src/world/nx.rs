// SPDX-License-Identifier: GPL-2.0

//! The NX workaround in C: its worker, and its switch.

use super::{kvm::zap_all_fast, variants::Variant};
use crate::{
    kvm::{Context, PendingFlush, Vm, VmPage},
    sync::rcu,
    tdp_mmu,
};

/// Zaps one of the tables that stand in the way of a huge page.
pub fn zap_one_nx_table(vm: &Vm) -> bool {
    recover_nx_huge_pages(vm, 1)
}

/// Zaps up to `most` of the tables that stand in the way of huge pages (the NX recovery worker).
/// Returns whether there were any. The worker flushes when it gives way, and at its end.
pub fn recover_nx_huge_pages(vm: &Vm, most: u32) -> bool {
    let mut lock = vm.mmu_read();
    let mut rcu = rcu::read_lock();
    let (mut zapped, mut flush) = (false, PendingFlush::none(vm));
    for _ in 0..most {
        let Some(id) = vm.possible_nx_huge_pages().first().copied() else {
            break;
        };
        let page = VmPage::from_id(vm, id);
        let (cx, _) = Context::enter(&*lock, &rcu, &page).unwrap_or_else(|| panic!("its own VM"));
        if tdp_mmu::zap::zap_possible_nx_huge_page(cx, &page) {
            zapped = true;
            let others = std::mem::replace(&mut flush, PendingFlush::from_caller(vm, true));
            others.into_caller();
        }
        if vm.wants_break() {
            rcu = lock.give_way(rcu, &mut flush);
        }
    }
    flush.flush();
    drop(rcu);
    zapped
}

/// Switches the workaround on or off while the VM runs (kvm.ko's parameter `nx_huge_pages`). Holds
/// `slots_lock`.
pub fn switch_nx_huge_pages(vm: &Vm, on: bool) {
    vm.set_nx_huge_pages(on);
    if !vm.variants.has(Variant::NxSwitchedOnly) {
        zap_all_fast(vm);
    }
}
