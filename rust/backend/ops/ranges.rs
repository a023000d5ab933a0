// SPDX-License-Identifier: GPL-2.0

//! Ranges of frames whose backing goes, and page tables that are zapped as a whole.

use crate::{
    kvm::{
        Context,
        Exclusive,
        Gfn,
        GfnRange,
        MmuLock,
        PendingFlush,
        Shared,
        SlotRange,
        Vm,
        VmPage, //
    },
    sync::rcu::CallerHolds,
    tdp_mmu, //
};
use kvm_bindings as bindings;

/// Zaps a range whose backing is about to go; returns whether a flush is owed
/// (`kvm_tdp_mmu_unmap_gfn_range`).
///
/// # Safety
///
/// `kvm` is a live VM, `range` and the slot in it are valid, `mmu_lock` is held for write.
pub(in crate::backend) unsafe extern "C" fn unmap_gfn_range(
    kvm: *mut bindings::kvm,
    range: *mut bindings::kvm_gfn_range,
    flush: bool,
) -> bool {
    // SAFETY: The VM is live.
    let vm = unsafe { Vm::from_raw(kvm) };
    // SAFETY: The range and its slot are valid.
    let range = unsafe { SlotRange::from_raw(range) };
    // SAFETY: `mmu_lock` is held for write.
    let mut lock = unsafe { MmuLock::<Exclusive>::assume_held(vm) };
    let flush = PendingFlush::from_caller(vm, flush);
    tdp_mmu::zap::unmap_range(&mut lock, range, flush).into_caller()
}

/// Zaps the leaves of a range in valid roots; returns whether a flush is owed
/// (`kvm_tdp_mmu_zap_leafs`).
///
/// # Safety
///
/// `kvm` is a live VM, `mmu_lock` is held for write.
pub(in crate::backend) unsafe extern "C" fn zap_leafs(
    kvm: *mut bindings::kvm,
    start: u64,
    end: u64,
    flush: bool,
) -> bool {
    // SAFETY: The VM is live.
    let vm = unsafe { Vm::from_raw(kvm) };
    // SAFETY: `mmu_lock` is held for write.
    let mut lock = unsafe { MmuLock::<Exclusive>::assume_held(vm) };
    let range = GfnRange::new(Gfn::new(start), Gfn::new(end));
    let flush = PendingFlush::from_caller(vm, flush);
    tdp_mmu::zap::zap_range(&mut lock, range, flush).into_caller()
}

/// Zaps everything, when the address space behind the VM goes (`kvm_tdp_mmu_zap_all`).
///
/// # Safety
///
/// `kvm` is a live VM, `mmu_lock` is held for write.
pub(in crate::backend) unsafe extern "C" fn zap_all(kvm: *mut bindings::kvm) {
    // SAFETY: The VM is live, and its lock is held for write.
    let mut lock = unsafe { MmuLock::<Exclusive>::assume_held(Vm::from_raw(kvm)) };
    tdp_mmu::zap::zap_all(&mut lock);
}

/// Cuts off a table that keeps a huge page from being mapped; returns whether a flush is owed
/// (`kvm_tdp_mmu_zap_possible_nx_huge_page`).
///
/// # Safety
///
/// `kvm` is a live VM, `mmu_lock` is held for read, and an RCU read-side section is open in which
/// `sp`, a page of `kvm`, was found on the list of possible NX huge pages. The caller flushes before it
/// ends.
pub(in crate::backend) unsafe extern "C" fn zap_possible_nx_huge_page(
    kvm: *mut bindings::kvm,
    sp: *mut bindings::kvm_mmu_page,
) -> bool {
    // SAFETY: The VM is live.
    let vm = unsafe { Vm::from_raw(kvm) };
    // SAFETY: The caller's RCU section is open until this function returns.
    let rcu = unsafe { CallerHolds::new() };
    // SAFETY: What is found on the list in an RCU section is not freed before it ends. C relies on
    // that for the parent table too, which is true but for a window that docs/safety.md describes.
    let page = unsafe { VmPage::from_raw(vm, sp) };
    if !page.is_tdp_mmu_page() {
        vm.bug();
        return false;
    }
    // SAFETY: `mmu_lock` is held for read.
    let lock = unsafe { MmuLock::<Shared>::assume_held(vm) };
    Context::enter(&lock, &rcu, &page)
        .is_some_and(|(cx, _)| tdp_mmu::zap::zap_possible_nx_huge_page(cx, &page))
}
