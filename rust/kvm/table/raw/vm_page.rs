// SPDX-License-Identifier: GPL-2.0

//! Headers that C hands in, or has on its list of those that keep it from mapping huge pages.

use super::page::ShadowPage;
use crate::{
    kvm::{
        lock::PagesLock,
        memory::Vm,
        table::vm_page::VmPage, //
    },
    sync::rcu, //
};
use kvm_bindings as bindings;

impl<'l> VmPage<'l> {
    /// The page that has been on the list longest.
    #[inline(always)]
    pub(in crate::kvm::table) fn first_on_nx_list(
        lock: &'l PagesLock<'_>,
        _rcu: &'l rcu::Guard,
    ) -> Option<Self> {
        let vm = lock.vm();
        // SAFETY: The VM is alive, and the lock protects the list.
        let page = unsafe { bindings::kvmrs_first_on_nx_list(vm.as_ptr()) };
        // SAFETY: Whoever cuts off a page takes it off the list at once, in an RCU section, and needs the
        // lock for that (`RemovedTable`). Neither the page nor its parent, which that section keeps, is
        // freed while the lock is held and the page is on the list. Once it was taken off, the caller's
        // section keeps the page.
        (!page.is_null()).then(|| Self::new(vm, unsafe { ShadowPage::from_raw(page) }))
    }

    /// The page for as long as an RCU section lasts.
    ///
    /// Only for who has seen in this section, with the pages lock held, that its parent links it. So
    /// neither was cut off then, and either is freed after a grace period that begins later.
    #[inline(always)]
    pub(in crate::kvm::table) fn kept_by<'r>(
        &self,
        vm: &'r Vm,
        _rcu: &'r rcu::Guard,
    ) -> VmPage<'r> {
        // SAFETY: As above: the section keeps the page, and its parent.
        VmPage::new(vm, unsafe { ShadowPage::from_raw(self.as_ptr()) })
    }
}

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
