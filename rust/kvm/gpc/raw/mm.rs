// SPDX-License-Identifier: GPL-2.0

//! The address space of a VM, for a kernel thread.

use crate::kvm::{
    gpc::place::Refused,
    memory::Vm, //
};
use kernel::types::NotThreadSafe;
use kvm_bindings as bindings;

/// The current kernel thread uses the address space of a VM, until the value is dropped.
///
/// # Invariants
///
/// The thread had none, and took it for the value alone.
pub(super) struct BorrowedMm<'vm>(&'vm Vm, NotThreadSafe);

impl<'vm> BorrowedMm<'vm> {
    /// Takes the VM's, if the current task is a kernel thread. Refuses one that has one already: it could
    /// give that back before the value goes.
    pub(super) fn new(vm: &'vm Vm) -> Result<Option<Self>, Refused> {
        // SAFETY: No requirements.
        let (thread, has) =
            unsafe { (bindings::kvmrs_is_kernel_thread(), bindings::kvmrs_has_mm()) };
        match (thread, has) {
            (false, _) => Ok(None),
            (true, true) => Err(Refused::Foreign),
            (true, false) => Ok(Some(Self::take(vm))),
        }
    }

    /// Only for a kernel thread without an address space.
    fn take(vm: &'vm Vm) -> Self {
        // SAFETY: `new()`, which is what asks, has seen that the task is such a thread. The VM's `mm_struct` stays as
        // long as the VM.
        unsafe { kernel::bindings::kthread_use_mm((*vm.as_ptr()).mm) };
        // INVARIANT: It was just taken.
        Self(vm, NotThreadSafe)
    }
}

impl Drop for BorrowedMm<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant the thread has the address space for this value alone.
        unsafe { kernel::bindings::kthread_unuse_mm((*self.0.as_ptr()).mm) };
    }
}
