// SPDX-License-Identifier: GPL-2.0

//! `kvm->arch.xen.xen_lock`.

use crate::kvm::memory::Vm;
use kernel::types::NotThreadSafe;
use kvm_bindings as bindings;

/// A hold of the lock, which guards what userspace sets.
///
/// # Invariants
///
/// The lock was taken for the value alone.
#[must_use = "the lock is dropped at once if the guard is unused"]
pub struct XenLock<'vm>(&'vm Vm, NotThreadSafe);

impl Vm {
    /// Takes the lock. May sleep.
    pub fn xen_lock(&self) -> XenLock<'_> {
        // SAFETY: The VM is alive. C sets the lock up when it makes the VM, before userspace and vCPUs come, and
        // nobody else takes it.
        unsafe { bindings::kvmrs_xen_lock(self.as_ptr()) };
        // INVARIANT: It was just taken.
        XenLock(self, NotThreadSafe)
    }
}

impl<'vm> XenLock<'vm> {
    /// The VM whose lock it is.
    #[inline(always)]
    pub fn vm(&self) -> &'vm Vm {
        self.0
    }
}

impl Drop for XenLock<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant the lock is held.
        unsafe { bindings::kvmrs_xen_unlock(self.0.as_ptr()) };
    }
}
