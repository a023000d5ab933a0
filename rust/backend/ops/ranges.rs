// SPDX-License-Identifier: GPL-2.0

//! Ranges of frames whose backing goes, and page tables that are zapped as a whole.

use crate::{
    kvm::{
        Exclusive,
        Gfn,
        GfnRange,
        MmuLock,
        PendingFlush,
        SlotRange,
        Vm, //
    },
    tdp_mmu, //
};
use kernel::ffi::c_ulong;
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
    tdp_mmu::zap::unmap_slot(&mut lock, range, flush)
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

/// Cuts off up to `to_zap` tables that keep huge pages from being mapped (`kvm_recover_nx_huge_pages`).
///
/// # Safety
///
/// `kvm` is a live VM. The current task may sleep, and holds neither `mmu_lock` nor `kvm->srcu`.
pub(in crate::backend) unsafe extern "C" fn recover_nx_huge_pages(
    kvm: *mut bindings::kvm,
    to_zap: c_ulong,
) {
    // SAFETY: The VM is live.
    tdp_mmu::nx::recover(unsafe { Vm::from_raw(kvm) }, to_zap as u64);
}
