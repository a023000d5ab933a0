// SPDX-License-Identifier: GPL-2.0

//! What userspace sets of a vCPU.

use super::runner::Runner;
use kvm_bindings as bindings;

/// What C has for a vCPU that Xen has no number of.
const NO_ID: u32 = u32::MAX;

impl Runner {
    /// What Xen calls the vCPU, if userspace has said so.
    #[inline]
    pub fn xen_id(&self) -> Option<u32> {
        // SAFETY: By the type's invariant the current task has the vCPU, and nobody else uses the field.
        match unsafe { (*self.xen()).vcpu_id } {
            NO_ID => None,
            id => Some(id),
        }
    }

    /// Userspace says so.
    pub fn set_xen_id(&self, id: u32) {
        // SAFETY: As above.
        unsafe { (*self.xen()).vcpu_id = id };
    }

    /// The vector that tells the vCPU of events, or 0.
    pub fn set_upcall_vector(&self, vector: u8) {
        // SAFETY: By the type's invariant the vCPU is there. Others read the byte at the same time.
        unsafe { (&raw mut (*self.xen()).upcall_vector).write_volatile(vector) };
    }

    /// The guest is to be told of its clock anew, before the vCPU enters it.
    pub fn renew_clock(&self) {
        // SAFETY: By the type's invariant the vCPU is there.
        unsafe { bindings::kvmrs_renew_clock(self.as_ptr()) };
    }
}
