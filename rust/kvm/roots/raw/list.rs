// SPDX-License-Identifier: GPL-2.0

//! The RCU list of a VM's roots.

use crate::{
    kvm::{
        lock::PagesLock,
        memory::{AnyVm, Vm},
        table::ShadowPage, //
    },
    sync::Rcu, //
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
    // SAFETY: `link` is not the head. So by the section above it lies in a root, which is not freed during `'a`.
    Some(unsafe { ShadowPage::from_raw(kernel::container_of!(link, bindings::kvm_mmu_page, link)) })
}

/// The list's head.
#[inline(always)]
fn head(vm: &AnyVm) -> *mut kernel::bindings::list_head {
    // SAFETY: The VM is alive; this only computes an address.
    unsafe { &raw mut (*vm.as_ptr()).arch.tdp_mmu_roots }
}

/// The root's place on the list.
#[inline(always)]
fn link(page: &ShadowPage) -> *mut kernel::bindings::list_head {
    // SAFETY: The page is alive; this only computes an address.
    unsafe { &raw mut (*page.as_ptr()).link }
}

/// Walks the list, without taking references.
///
/// # Invariants
///
/// `prev` is the list's head or a root's link, and no root is freed during `'r`.
pub(in crate::kvm::roots) struct Links<'r> {
    vm: &'r AnyVm,
    prev: *mut kernel::bindings::list_head,
}

impl<'r> Links<'r> {
    /// The roots behind `prev`, or all. `prev` is on the list, and kept by a reference.
    #[inline(always)]
    pub(in crate::kvm::roots) fn behind(
        vm: &'r AnyVm,
        prev: Option<&ShadowPage>,
        _rcu: &'r impl Rcu,
    ) -> Self {
        // INVARIANT: The head or a root's link. Roots are freed by RCU, and the section is borrowed for
        // `'r`.
        Self {
            vm,
            prev: prev.map_or(head(vm), link),
        }
    }

    /// All roots: one is freed after it was taken off the list, for which the lock is needed.
    #[inline(always)]
    pub(in crate::kvm::roots) fn locked(lock: &'r PagesLock<'_>) -> Self {
        let vm = lock.vm();
        // INVARIANT: The head. The lock is borrowed for `'r`.
        Self { vm, prev: head(vm) }
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

/// Puts a root, which nobody can reach yet, on the list.
#[inline(always)]
pub(in crate::kvm::roots) fn add(root: &ShadowPage, lock: &PagesLock<'_>) {
    // SAFETY: Both are alive, and the lock keeps other writers off the list.
    unsafe { bindings::kvmrs_list_add_rcu(link(root), head(lock.vm())) };
}

/// Takes a root off the list.
#[inline(always)]
pub(in crate::kvm::roots) fn remove(root: &ShadowPage, _lock: &PagesLock<'_>) {
    // SAFETY: Each root is on the list until its last reference is gone, and the lock is held.
    unsafe { bindings::kvmrs_list_del_rcu(link(root)) };
}

impl Vm {
    /// Prepares a new VM for TDP MMU roots.
    ///
    /// # Safety
    ///
    /// Nobody else may use the VM yet.
    pub unsafe fn init_roots(&self) {
        // SAFETY: The VM is alive, and by the section above nobody else uses it.
        unsafe {
            bindings::kvmrs_list_init(head(self));
            bindings::kvmrs_pages_lock_init(self.as_ptr());
        }
    }

    /// Whether no root is left.
    pub fn has_no_roots(&self) -> bool {
        // SAFETY: The VM is alive and its list initialised.
        unsafe { bindings::kvmrs_list_empty(head(self)) }
    }
}
