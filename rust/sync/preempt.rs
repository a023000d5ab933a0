// SPDX-License-Identifier: GPL-2.0

//! Parts of the code that cannot be preempted.
//!
//! C header: [`include/linux/preempt.h`](srctree/include/linux/preempt.h)

use kernel::types::NotThreadSafe;
use kvm_bindings as bindings;

/// Preemption is off, until the value is dropped.
///
/// # Invariants
///
/// It was switched off for the value alone.
pub struct Guard(NotThreadSafe);

/// Switches preemption off.
#[inline(always)]
pub fn disable() -> Guard {
    // SAFETY: No requirements.
    unsafe { bindings::kvmrs_preempt_disable() };
    // INVARIANT: It was just switched off.
    Guard(NotThreadSafe)
}

impl Drop for Guard {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: By the type's invariant preemption was switched off for the value, which ends without another call.
        unsafe { bindings::kvmrs_preempt_enable() };
    }
}
