// SPDX-License-Identifier: GPL-2.0

//! `kvm->arch.tdp_mmu_pages_lock`, a spinlock.

use crate::kvm::memory::Vm;
use kernel::types::NotThreadSafe;
use kvm_bindings as bindings;

/// `kvm->arch.tdp_mmu_pages_lock`: protects the list of roots against other writers and the list
/// of pages that stand in the way of a huge page.
#[must_use = "the lock is dropped at once if the guard is unused"]
pub struct PagesLock<'vm>(&'vm Vm, NotThreadSafe);

impl<'vm> PagesLock<'vm> {
    /// The VM whose lock it is.
    #[inline(always)]
    pub fn vm(&self) -> &'vm Vm {
        self.0
    }
}

impl Vm {
    /// Takes the pages lock.
    #[inline]
    pub fn pages_lock(&self) -> PagesLock<'_> {
        // SAFETY: The VM is alive, its lock was initialised with it.
        unsafe { bindings::kvmrs_pages_lock(self.as_ptr()) };
        PagesLock(self, NotThreadSafe)
    }
}

impl Drop for PagesLock<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The lock was taken when the value was made.
        unsafe { bindings::kvmrs_pages_unlock(self.0.as_ptr()) };
    }
}
