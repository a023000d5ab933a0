// SPDX-License-Identifier: GPL-2.0

//! The RCU list of a VM's roots.

use crate::kvm::{
    memory::AnyVm,
    table::ShadowPage, //
};
use core::ptr;
use kvm_bindings as bindings;

/// The page that `link` belongs to, if it is not the list's head.
///
/// # Safety
///
/// `link` must be the list's head or the `link` field of a root that is not freed during `'a`.
#[inline(always)]
unsafe fn page_of<'a>(
    vm: &AnyVm,
    link: *mut kernel::bindings::list_head,
) -> Option<&'a ShadowPage> {
    if ptr::eq(link, head(vm)) {
        return None;
    }
    // SAFETY: `link` is not the head, so it lies in a root, which is not freed during `'a`.
    Some(unsafe { ShadowPage::from_raw(kernel::container_of!(link, bindings::kvm_mmu_page, link)) })
}

/// The list's head.
#[inline(always)]
pub(super) fn head(vm: &AnyVm) -> *mut kernel::bindings::list_head {
    // SAFETY: The VM is alive; this only computes an address.
    unsafe { &raw mut (*vm.as_ptr()).arch.tdp_mmu_roots }
}

/// The root's place on the list.
#[inline(always)]
pub(super) fn link(page: &ShadowPage) -> *mut kernel::bindings::list_head {
    // SAFETY: The page is alive; this only computes an address.
    unsafe { &raw mut (*page.as_ptr()).link }
}

/// Walks the list from behind `prev` on, without taking references.
///
/// # Invariants
///
/// `prev` is the list's head or a root's link, and no root is freed during `'r`.
pub(super) struct Links<'r> {
    vm: &'r AnyVm,
    prev: *mut kernel::bindings::list_head,
}

impl<'r> Links<'r> {
    /// The roots behind `prev`, or all.
    ///
    /// # Safety
    ///
    /// No root on the list, nor `prev`, may be freed during `'r`.
    #[inline(always)]
    pub(super) unsafe fn behind(vm: &'r AnyVm, prev: Option<&ShadowPage>) -> Self {
        // INVARIANT: The head or a root's link, and roots are not freed during `'r`.
        Self {
            vm,
            prev: prev.map_or(head(vm), link),
        }
    }
}

impl<'r> Iterator for Links<'r> {
    type Item = &'r ShadowPage;

    #[inline(always)]
    fn next(&mut self) -> Option<&'r ShadowPage> {
        // SAFETY: By the type's invariant `prev` and what follows it are there.
        unsafe {
            let next = bindings::kvmrs_list_next_rcu(self.prev);
            self.prev = next;
            page_of(self.vm, next)
        }
    }
}
