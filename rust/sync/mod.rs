// SPDX-License-Identifier: GPL-2.0

//! RCU and the small change of synchronisation.

pub mod rcu;

pub use rcu::Rcu;

use kvm_bindings as bindings;

/// Tells the CPU that this is a busy loop.
#[inline(always)]
pub fn cpu_relax() {
    // SAFETY: No requirements.
    unsafe { bindings::kvmrs_cpu_relax() }
}
