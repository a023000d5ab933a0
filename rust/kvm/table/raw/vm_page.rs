// SPDX-License-Identifier: GPL-2.0

//! Headers that C hands in.

use super::page::ShadowPage;
use crate::kvm::{
    memory::Vm,
    table::vm_page::VmPage, //
};
use kvm_bindings as bindings;

impl<'r> VmPage<'r> {
    /// Borrows a header from C.
    ///
    /// # Safety
    ///
    /// `ptr` must be the header of a TDP MMU page of `vm`. Neither its table nor the one whose entry
    /// linked it may be freed during `'r`.
    #[inline(always)]
    pub unsafe fn from_raw(vm: &'r Vm, ptr: *mut bindings::kvm_mmu_page) -> Self {
        // SAFETY: The page is not freed during `'r`.
        Self::new(vm, unsafe { ShadowPage::from_raw(ptr) })
    }
}
