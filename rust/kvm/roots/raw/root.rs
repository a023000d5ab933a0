// SPDX-License-Identifier: GPL-2.0

//! References that come from C, or go there.

use crate::kvm::{
    memory::Vm,
    roots::root::Root,
    table::VmPage, //
};
use core::mem::ManuallyDrop;
use kvm_bindings as bindings;

impl<'vm> Root<'vm> {
    /// Takes over a reference that C hands in.
    ///
    /// # Safety
    ///
    /// The caller must own a reference to the root `page` of `vm`.
    #[inline]
    pub unsafe fn from_raw(vm: &'vm Vm, page: *mut bindings::kvm_mmu_page) -> Self {
        // SAFETY: The reference keeps the page alive, and no entry links a root.
        let page = unsafe { VmPage::from_raw(vm, page) };
        // The caller's reference is the value's from now on.
        Self::counted(page)
    }

    /// Hands the reference to C.
    #[inline]
    pub(in crate::kvm) fn into_raw(self) -> *mut bindings::kvm_mmu_page {
        ManuallyDrop::new(self).as_ptr()
    }
}
