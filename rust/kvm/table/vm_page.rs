// SPDX-License-Identifier: GPL-2.0

//! A live page table, with the VM that it belongs to.
//!
//! A `struct kvm_mmu_page` does not say whose it is. What finds one knows, and says so here, so that
//! the lock of one VM is not joined with the table of another.

#![forbid(unsafe_code)]

use super::raw::ShadowPage;
use crate::kvm::{
    lock::{MmuLock, Shared},
    memory::Vm,
    spte::SpteCell, //
};
use core::ops::Deref;

/// The header of a live page table of `vm`.
///
/// There is no copying it: one that was reached through a counted reference is there for as long as
/// the reference.
///
/// # Invariants
///
/// `page` belongs to `vm`. Neither its table nor the one whose entry linked it is freed during `'r`.
pub struct VmPage<'r> {
    vm: &'r Vm,
    page: &'r ShadowPage,
}

impl<'r> VmPage<'r> {
    /// Only for what finds tables of `vm`.
    #[inline(always)]
    pub(in crate::kvm) fn new(vm: &'r Vm, page: &'r ShadowPage) -> Self {
        // INVARIANT: `page` was found among the tables of `vm`, in an RCU section that lasts for
        // `'r`, or by a counted reference to a root, which no entry links.
        Self { vm, page }
    }

    /// The same page, for the owner of one more reference to it.
    #[inline(always)]
    pub(in crate::kvm) fn again(&self) -> Self {
        // INVARIANT: `page` belongs to `vm`, and the reference keeps it.
        Self::new(self.vm, self.page)
    }

    /// The memory of the entry that links, or linked, this table. `None` for roots.
    #[inline(always)]
    pub(super) fn parent_cell(&self) -> Option<&SpteCell> {
        self.page.parent_cell(self.vm)
    }

    /// The VM.
    #[inline(always)]
    pub fn vm(&self) -> &'r Vm {
        self.vm
    }

    /// Puts the page on the list of those that keep KVM from mapping a huge page, unless it was
    /// zapped since it was linked. With the lock held for read a link is never overwritten unseen.
    pub fn track_possible_nx_huge_page(&self, _lock: &MmuLock<'_, Shared>) {
        let lock = self.vm.pages_lock();
        self.page.track_possible_nx_huge_page(&lock);
    }
}

impl Deref for VmPage<'_> {
    type Target = ShadowPage;

    #[inline(always)]
    fn deref(&self) -> &ShadowPage {
        self.page
    }
}
