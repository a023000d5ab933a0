// SPDX-License-Identifier: GPL-2.0

//! KVM's existing tracepoints of the MMU, with their fields.
//!
//! The events belong to kvm.ko: whoever traces them sees VMs of both backends alike. A disabled
//! event costs one NOP. `kernel::tracepoint::declare_trace!` would do all this, but finds its
//! symbols in the kernel crate's bindings only.
//!
//! C header: `arch/x86/kvm/mmu/mmutrace.h`

use kvm_bindings::{
    gfn_t,
    kvm_mmu_page,
    kvm_page_fault, //
};

/// Declares functions that fire the tracepoint named after the `=`.
macro_rules! tracepoints {
    ($(
        $(#[$attr:meta])*
        $vis:vis unsafe fn $name:ident($($arg:ident: $type:ty),*) = $event:ident;
    )*) => {$(
        $(#[$attr])*
        #[inline(always)]
        $vis unsafe fn $name($($arg: $type),*) {
            #[cfg(CONFIG_TRACEPOINTS)]
            kernel::macros::paste! {
                // SAFETY: The static key is part of a tracepoint that C defines.
                let enabled = unsafe {
                    kernel::jump_label::static_branch_unlikely!(
                        kvm_bindings::[<__tracepoint_ $event>],
                        kernel::bindings::tracepoint,
                        key
                    )
                };

                if enabled {
                    // SAFETY: The caller promises what the event's probes rely on.
                    unsafe { kvm_bindings::[<rust_do_trace_ $event>]($($arg),*) };
                }
            }

            #[cfg(not(CONFIG_TRACEPOINTS))]
            let _ = ($($arg,)*);
        }
    )*};
}

tracepoints! {
    /// A page table came into use: a new one if `created`.
    ///
    /// # Safety
    ///
    /// `sp` is valid for reads.
    pub(crate) unsafe fn get_page(sp: *mut kvm_mmu_page, created: bool) = kvm_mmu_get_page;

    /// A page table was unlinked.
    ///
    /// # Safety
    ///
    /// `sp` is valid for reads.
    pub(crate) unsafe fn prepare_zap_page(sp: *mut kvm_mmu_page) = kvm_mmu_prepare_zap_page;

    /// A fault was resolved by the entry at `sptep`.
    ///
    /// # Safety
    ///
    /// `sptep` is valid for reads and points into a page table, which is in the direct map.
    pub(crate) unsafe fn set_spte(level: i32, gfn: gfn_t, sptep: *mut u64) = kvm_mmu_set_spte;

    /// A fault is about to be resolved: its level and access are settled.
    ///
    /// # Safety
    ///
    /// `fault` is valid for reads and its `goal_level` is a level of page tables.
    pub(crate) unsafe fn spte_requested(
        fault: *mut kvm_page_fault,
        access: u8
    ) = kvm_mmu_spte_requested;

    unsafe fn raw_mark_mmio_spte(sptep: *mut u64, gfn: gfn_t, spte: u64) = mark_mmio_spte;

    unsafe fn raw_split_huge_page(
        gfn: gfn_t,
        spte: u64,
        level: i32,
        errno: i32
    ) = kvm_mmu_split_huge_page;

    unsafe fn raw_spte_changed(
        as_id: i32,
        gfn: gfn_t,
        level: i32,
        old: u64,
        new: u64
    ) = kvm_tdp_mmu_spte_changed;
}

/// An MMIO entry was made at `sptep`.
#[inline(always)]
pub(crate) fn mark_mmio_spte(sptep: *mut u64, gfn: gfn_t, spte: u64) {
    // SAFETY: The event records the pointer and does not follow it.
    unsafe { raw_mark_mmio_spte(sptep, gfn, spte) };
}

/// A huge page was split, or could not be: `errno` is 0 or a negative error.
#[inline(always)]
pub(crate) fn split_huge_page(gfn: gfn_t, spte: u64, level: i32, errno: i32) {
    // SAFETY: The event takes plain numbers.
    unsafe { raw_split_huge_page(gfn, spte, level, errno) };
}

/// An entry changed from `old` to `new`.
#[inline(always)]
pub(crate) fn spte_changed(as_id: i32, gfn: gfn_t, level: i32, old: u64, new: u64) {
    // SAFETY: The event takes plain numbers.
    unsafe { raw_spte_changed(as_id, gfn, level, old, new) };
}
