// SPDX-License-Identifier: GPL-2.0

//! The bits of an entry that differ between formats.
//!
//! The vendor module sets these variables of kvm.ko when it loads, for NPT, for EPT with or without
//! accessed and dirty bits, and for memory encryption. They do not change while a VM exists.
//!
//! C counterpart: the `shadow_*` variables in `arch/x86/kvm/mmu/spte.c`.

use kvm_bindings as bindings;

macro_rules! masks {
    ($($(#[$attr:meta])* $name:ident: $var:ident;)*) => {$(
        $(#[$attr])*
        #[inline(always)]
        pub fn $name() -> u64 {
            // SAFETY: kvm.ko, which this module depends on, owns the variable; it was last written
            // before the first VM was made.
            unsafe { bindings::$var }
        }
    )*};
}

masks! {
    /// Set in every present entry.
    present: shadow_present_mask;
    /// "Accessed"; on EPT without A/D bits merely remembered by KVM.
    accessed: shadow_accessed_mask;
    /// "Dirty".
    dirty: shadow_dirty_mask;
    /// Software: the host mapping was writable when the entry was made.
    host_writable: shadow_host_writable_mask;
    /// Software: write protection is for dirty logging only, a fault may undo it without the lock.
    mmu_writable: shadow_mmu_writable_mask;
    /// "No execute", 0 on EPT.
    nx: shadow_nx_mask;
    /// "User", 0 on EPT.
    user: shadow_user_mask;
    /// "Execute" (supervisor), 0 on NPT.
    exec: shadow_xs_mask;
    /// "Execute" (user), 0 on NPT.
    user_exec: shadow_xu_mask;
    /// The access bits that access tracking takes away, 0 where there are A/D bits.
    acc_track: shadow_acc_track_mask;
    /// Memory encryption bits of an encrypted page.
    me_value: shadow_me_value;
    /// The bits that tell an MMIO entry.
    mmio: shadow_mmio_mask;
    /// The access bits that an MMIO entry stores.
    mmio_access: shadow_mmio_access_mask;
    /// Bits to be set in non-present entries against L1TF.
    nonpresent_or_rsvd: shadow_nonpresent_or_rsvd_mask;
}

/// Whether non-nested page tables use hardware accessed and dirty bits.
#[inline(always)]
pub fn ad_enabled() -> bool {
    // SAFETY: kvm.ko owns the variable; it was last written before the first VM was made.
    unsafe { bindings::kvm_ad_enabled }
}

/// Whether MMIO entries are in use.
#[inline(always)]
pub fn mmio_caching() -> bool {
    // SAFETY: kvm.ko owns the variable; it was last written before the first VM was made.
    unsafe { bindings::enable_mmio_caching }
}

/// The bits of a physical address that the CPU does not have: no present entry may set one.
#[inline(always)]
pub fn reserved_addr() -> u64 {
    // SAFETY: No requirements.
    unsafe { bindings::kvmrs_spte_reserved_addr_mask() }
}

/// The bits that hold a physical address.
#[inline(always)]
pub fn base_addr() -> u64 {
    // SAFETY: No requirements.
    unsafe { bindings::kvmrs_spte_base_addr_mask() }
}
