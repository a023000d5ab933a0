// SPDX-License-Identifier: GPL-2.0

//! Roots: found or made for a vCPU, invalidated, zapped, gone.
//!
//! A "fast zap" of a VM makes all roots invalid at once, under the lock for write. vCPUs then load
//! new ones, and the old trees are zapped with the lock held for read, giving way to faults. Until
//! that is done the TDP MMU keeps its reference, so that notifiers still find the old tree.
//!
//! C counterparts: `kvm_tdp_mmu_alloc_root()`, `kvm_tdp_mmu_zap_invalidated_roots()`,
//! `kvm_mmu_uninit_tdp_mmu()`.

use super::{
    each_root::for_each_root,
    zap::zap_root, //
};
use crate::{
    kvm::{
        Exclusive,
        Locked,
        MmuLock,
        Role,
        Root,
        RootFilter,
        Shared,
        SlotsLocked,
        Vcpu,
        Vm,
        Waiver, //
    },
    sync::rcu, //
};
use core::ops::ControlFlow;

/// Gives `vcpu` a root with the role that it needs.
pub fn load_root(vcpu: &Vcpu) {
    let vm = vcpu.vm();
    let role = vcpu.root_role();
    let lock = vm.mmu_read();
    let found = find_valid(&lock, role).or_else(|| find_or_make(vcpu, vm, role));
    drop(lock);
    let Some(root) = found else {
        return;
    };
    // If it was invalidated since, the vCPU finds a request to load another before it enters the
    // guest; the reference keeps it from being freed.
    vcpu.set_root(root);
}

/// Looks for a root without taking the pages lock: other vCPUs will mostly have made it already.
fn find_valid<'vm>(lock: &MmuLock<'vm, Shared>, role: Role) -> Option<Root<'vm>> {
    let filter = RootFilter::VALID.of(role.address_space());
    let mut next = lock.next_root(None, filter);
    while let Some(root) = next {
        if root.role().word() == role.word() {
            return Some(root);
        }
        next = lock.next_root(Some(&root), filter);
    }
    None
}

/// Looks once more, with other makers of roots kept out, then makes one.
fn find_or_make<'vm>(vcpu: &Vcpu, vm: &'vm Vm, role: Role) -> Option<Root<'vm>> {
    let pages = vm.pages_lock();
    pages
        .find_root(role)
        .or_else(|| pages.insert_root(vcpu.alloc_table(), role))
}

/// Zaps the roots that were invalidated, and puts the TDP MMU's reference to each.
pub fn zap_invalidated_roots<M: Locked>(lock: &mut MmuLock<'_, M>, slots: &SlotsLocked<'_>) {
    for_each_root(lock, RootFilter::ALL, |lock, root| {
        if let Some(reference) = root.take_scheduled_zap(slots) {
            if !root.role().is_invalid() {
                lock.vm().bug();
            }
            zap_root(lock, root, Waiver::InvalidRoot);
            // Only now may the root vanish from notifiers' sight.
            drop(reference);
        }
        ControlFlow::Continue(())
    });
}

/// Ends the TDP MMU of a VM that nobody uses any more.
pub fn uninit(slots: &SlotsLocked<'_>) {
    let vm = slots.vm();
    let mut lock = vm.mmu_write();
    lock.invalidate_roots(slots);
    zap_invalidated_roots::<Exclusive>(&mut lock, slots);
    drop(lock);
    if vm.counted_tables() != 0 || !vm.has_no_roots() {
        vm.bug();
    }
    // Tables are on their way through RCU; they are accounted to the VM's owner.
    rcu::rcu_barrier();
}
