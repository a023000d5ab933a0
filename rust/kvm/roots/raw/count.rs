// SPDX-License-Identifier: GPL-2.0

//! How many references a root has, and whether it waits to be zapped.

use crate::kvm::{
    memory::{AnyVm, SlotsLocked},
    table::ShadowPage, //
};
use core::mem::ManuallyDrop;
use kvm_bindings as bindings;

#[inline(always)]
fn count(page: &ShadowPage) -> *mut kernel::bindings::refcount_t {
    // SAFETY: The page is alive; this only computes the address of a field.
    unsafe { (&raw mut (*page.as_ptr()).__bindgen_anon_2.tdp_mmu_root_count).cast() }
}

/// Sets the count of a root that nobody else can reach.
#[inline(always)]
pub(in crate::kvm::roots) fn set(page: &ShadowPage, references: i32) {
    // SAFETY: The page is alive. `insert_root()`, which is what asks, has it for itself.
    unsafe { bindings::kvmrs_refcount_set(count(page), references) };
}

/// Takes a reference, unless the last one is gone already. The root is there until it is put.
#[inline(always)]
pub(in crate::kvm::roots) fn get<'r>(_vm: &'r AnyVm, page: &ShadowPage) -> Option<&'r ShadowPage> {
    // SAFETY: `page` is a root that is still allocated. The reference keeps it from being freed while
    // the `Root` lives that owns it, which is within the VM's life.
    unsafe {
        bindings::kvmrs_refcount_inc_not_zero(count(page))
            .then(|| ShadowPage::from_raw(page.as_ptr()))
    }
}

/// Puts a reference that a `Root` owns. Returns whether it was the last one.
#[inline(always)]
pub(in crate::kvm::roots) fn put(page: &ShadowPage) -> bool {
    // SAFETY: By the invariant of `Root` there is a reference to put.
    unsafe { bindings::kvmrs_refcount_dec_and_test(count(page)) }
}

/// Schedules the root for being zapped. The flag belongs to the holder of `slots_lock`.
#[inline(always)]
pub(in crate::kvm::roots) fn schedule_zap(page: &ShadowPage, _slots: &SlotsLocked<'_>) {
    // SAFETY: The page is alive. The flag belongs to the holder of `slots_lock`, or to the VM's last user, and
    // `_slots` says that this is who asks.
    unsafe {
        (*page.as_ptr())
            .__bindgen_anon_1
            .tdp_mmu_scheduled_root_to_zap = ManuallyDrop::new(true);
    }
}

/// Whether the root waits to be zapped. From now on it does not.
#[inline(always)]
pub(in crate::kvm::roots) fn take_scheduled_zap(
    page: &ShadowPage,
    _slots: &SlotsLocked<'_>,
) -> bool {
    // SAFETY: As in `schedule_zap()`. The flag is one byte.
    unsafe {
        (&raw mut (*page.as_ptr())
            .__bindgen_anon_1
            .tdp_mmu_scheduled_root_to_zap)
            .cast::<bool>()
            .replace(false)
    }
}

impl ShadowPage {
    /// How many references a root has right now, for a look.
    pub fn root_references(&self) -> u32 {
        // SAFETY: The page is alive, and the count is one word.
        unsafe { count(self).cast::<u32>().read_volatile() }
    }
}
