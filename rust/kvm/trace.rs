// SPDX-License-Identifier: GPL-2.0

//! KVM's existing tracepoints of the MMU, with their fields.
//!
//! The events belong to kvm.ko: whoever traces them sees VMs of both backends alike. A disabled
//! event costs one NOP. `kernel::tracepoint::declare_trace!` would do this, but finds its symbols
//! in the kernel crate's bindings only.
//!
//! C headers: `arch/x86/kvm/mmu/mmutrace.h`, `include/trace/events/kvm.h`

use kvm_bindings::{
    gfn_t,
    kvm_mmu_page,
    kvm_page_fault,
    kvm_vcpu, //
};

/// Fires an event if it is enabled. To be used in an `unsafe` block: the arguments must be what
/// the event's probes expect.
#[cfg(CONFIG_TRACEPOINTS)]
macro_rules! fire {
    ($event:ident($($arg:ident),*)) => {
        kernel::macros::paste! {
            if kernel::jump_label::static_branch_unlikely!(
                kvm_bindings::[<__tracepoint_ $event>],
                kernel::bindings::tracepoint,
                key
            ) {
                kvm_bindings::[<rust_do_trace_ $event>]($($arg),*);
            }
        }
    };
}

#[cfg(not(CONFIG_TRACEPOINTS))]
macro_rules! fire {
    ($event:ident($($arg:ident),*)) => {
        ignore(($($arg,)*))
    };
}

/// Stands in for every event of a kernel without tracepoints.
///
/// # Safety
///
/// Always safe to call, but `unsafe` as firing an event is.
#[cfg(not(CONFIG_TRACEPOINTS))]
unsafe fn ignore<T>(_args: T) {}

/// A fault was resolved without `mmu_lock`, or could not be.
///
/// # Safety
///
/// `vcpu`, `fault` and `sptep` are valid for reads.
#[inline(always)]
pub(in crate::kvm) unsafe fn fast_page_fault(
    vcpu: *mut kvm_vcpu,
    fault: *mut kvm_page_fault,
    sptep: *mut u64,
    old: u64,
    ret: i32,
) {
    // SAFETY: The event reads what the pointers point to, which is valid.
    unsafe { fire!(fast_page_fault(vcpu, fault, sptep, old, ret)) };
}

/// A new page table came into use.
///
/// # Safety
///
/// `sp` is valid for reads.
#[inline(always)]
pub(in crate::kvm) unsafe fn page_created(sp: *mut kvm_mmu_page) {
    let created = true;
    // SAFETY: The event reads `*sp`, which is valid.
    unsafe { fire!(kvm_mmu_get_page(sp, created)) };
}

/// A page table was unlinked.
///
/// # Safety
///
/// `sp` is valid for reads.
#[inline(always)]
pub(in crate::kvm) unsafe fn prepare_zap_page(sp: *mut kvm_mmu_page) {
    // SAFETY: The event reads `*sp`, which is valid.
    unsafe { fire!(kvm_mmu_prepare_zap_page(sp)) };
}

/// A fault was resolved by the entry at `sptep`.
///
/// # Safety
///
/// `sptep` is valid for reads and points into a page table, which is in the direct map.
#[inline(always)]
pub(in crate::kvm) unsafe fn set_spte(level: i32, gfn: gfn_t, sptep: *mut u64) {
    // SAFETY: The event reads `*sptep`, which is valid, and takes its physical address, which an
    // entry in the direct map has.
    unsafe { fire!(kvm_mmu_set_spte(level, gfn, sptep)) };
}

/// A fault is about to be resolved: its level and access are settled.
///
/// # Safety
///
/// `fault` is valid for reads.
#[inline(always)]
pub(in crate::kvm) unsafe fn spte_requested(fault: *mut kvm_page_fault, access: u8) {
    // SAFETY: The event reads `*fault`, which is valid.
    unsafe { fire!(kvm_mmu_spte_requested(fault, access)) };
}

/// An MMIO entry was made at `sptep`.
#[inline(always)]
pub(in crate::kvm) fn mark_mmio_spte(sptep: *mut u64, gfn: gfn_t, spte: u64) {
    // SAFETY: The event records the pointer and does not follow it.
    unsafe { fire!(mark_mmio_spte(sptep, gfn, spte)) };
}

/// A huge page was split, or could not be: `errno` is 0 or a negative error.
#[inline(always)]
pub(in crate::kvm) fn split_huge_page(gfn: gfn_t, spte: u64, level: i32, errno: i32) {
    // SAFETY: The event takes plain numbers.
    unsafe { fire!(kvm_mmu_split_huge_page(gfn, spte, level, errno)) };
}

/// An entry changed from `old` to `new`.
#[inline(always)]
pub(in crate::kvm) fn spte_changed(as_id: i32, gfn: gfn_t, level: i32, old: u64, new: u64) {
    // SAFETY: The event takes plain numbers.
    unsafe { fire!(kvm_tdp_mmu_spte_changed(as_id, gfn, level, old, new)) };
}

/// The host takes pages between two addresses away.
#[inline(always)]
pub(in crate::kvm) fn unmap_hva_range(start: usize, end: usize) {
    // SAFETY: The event takes plain numbers.
    unsafe { fire!(kvm_unmap_hva_range(start, end)) };
}

/// The host makes pages between two addresses old.
#[inline(always)]
pub(in crate::kvm) fn age_hva(start: usize, end: usize) {
    // SAFETY: The event takes plain numbers.
    unsafe { fire!(kvm_age_hva(start, end)) };
}

/// The host asks whether the page at an address is young.
#[inline(always)]
pub(in crate::kvm) fn test_age_hva(hva: usize) {
    // SAFETY: The event takes plain numbers.
    unsafe { fire!(kvm_test_age_hva(hva)) };
}
