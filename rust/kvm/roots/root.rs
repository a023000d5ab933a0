// SPDX-License-Identifier: GPL-2.0

//! A counted reference to a root, and the root's end.

use super::list;
use crate::kvm::{
    memory::{SlotsLocked, Vm},
    table::{ShadowPage, VmPage}, //
};
use core::{
    mem::ManuallyDrop,
    ops::Deref,
    ptr, //
};
use kvm_bindings as bindings;

/// A counted reference to a root.
///
/// # Invariants
///
/// The value owns one of the root's references.
pub struct Root<'vm>(VmPage<'vm>);

#[inline(always)]
pub(super) fn count(page: &ShadowPage) -> *mut kernel::bindings::refcount_t {
    // SAFETY: The page is alive and a root; this only computes an address.
    unsafe { (&raw mut (*page.as_ptr()).__bindgen_anon_2.tdp_mmu_root_count).cast() }
}

impl<'vm> Root<'vm> {
    /// Takes a reference, unless the last one is gone already.
    #[inline]
    pub(super) fn get(vm: &'vm Vm, page: &ShadowPage) -> Option<Self> {
        // SAFETY: `page` is a root that is still allocated.
        if !unsafe { bindings::kvmrs_refcount_inc_not_zero(count(page)) } {
            return None;
        }
        // SAFETY: The reference keeps the page from being freed while the value lives, which is
        // within the VM's life.
        let page = unsafe { ShadowPage::from_raw(page.as_ptr()) };
        // INVARIANT: The reference was just taken.
        Some(Self(VmPage::new(vm, page)))
    }

    /// Takes over a reference that C hands in, or that the list has given up.
    ///
    /// # Safety
    ///
    /// The caller must own a reference to the root `page` of `vm`.
    #[inline]
    pub unsafe fn from_raw(vm: &'vm Vm, page: *mut bindings::kvm_mmu_page) -> Self {
        // SAFETY: The reference keeps the page alive, and no entry links a root.
        let page = unsafe { VmPage::from_raw(vm, page) };
        // INVARIANT: The caller's reference is the value's from now on.
        Self(page)
    }

    /// Hands the reference to C.
    #[inline]
    pub(in crate::kvm) fn into_raw(self) -> *mut bindings::kvm_mmu_page {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// If the root waits to be zapped, the reference that the TDP MMU holds until that is done.
    ///
    /// It is refused to who holds the `slots_lock` of another VM.
    pub fn take_scheduled_zap(&self, slots: &SlotsLocked<'_>) -> Option<Root<'vm>> {
        if !ptr::eq(slots.vm(), self.vm()) {
            self.vm().bug();
            return None;
        }
        // SAFETY: The page is alive, the flag belongs to the holder of `slots_lock`.
        let flag = unsafe {
            (&raw mut (*self.as_ptr())
                .__bindgen_anon_1
                .tdp_mmu_scheduled_root_to_zap)
                .cast::<bool>()
        };
        // SAFETY: The flag is one byte, and its writers hold `slots_lock`.
        if !unsafe { flag.replace(false) } {
            return None;
        }
        // INVARIANT: `invalidate_roots()` left the list's reference to the one that clears the flag.
        // SAFETY: That reference is the value's now.
        Some(unsafe { Self::from_raw(self.vm(), self.as_ptr()) })
    }
}

impl ShadowPage {
    /// How many references a root has right now, for a look.
    pub fn root_references(&self) -> u32 {
        // SAFETY: The page is alive, and the count is one word.
        unsafe { count(self).cast::<u32>().read_volatile() }
    }
}

impl<'vm> Deref for Root<'vm> {
    type Target = VmPage<'vm>;

    #[inline(always)]
    fn deref(&self) -> &VmPage<'vm> {
        &self.0
    }
}

impl Drop for Root<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type's invariant there is a reference to put.
        if unsafe { bindings::kvmrs_refcount_dec_and_test(count(self)) } {
            free(self.vm(), self);
        }
    }
}

/// Takes a root without references off the list.
#[cold]
fn free(vm: &Vm, root: &ShadowPage) {
    // The list's own reference outlives validity, so this cannot happen to a valid root.
    if !root.role().is_invalid() {
        vm.bug();
    }
    let lock = vm.pages_lock();
    // SAFETY: The root is on the list, and the lock is held.
    unsafe { bindings::kvmrs_list_del_rcu(list::link(root)) };
    drop(lock);
    // SAFETY: The root was just made unreachable, and references are gone for good.
    unsafe { root.free_by_rcu() };
}
