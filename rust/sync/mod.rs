// SPDX-License-Identifier: GPL-2.0

//! RCU, SRCU, wait queues and the small change of synchronisation.

pub mod preempt;
pub mod rcu;
pub mod srcu;
pub mod wait_queue;

pub use rcu::Rcu;

#[cfg(CONFIG_KVM_XEN)]
pub(crate) use kernel::sync::atomic::Full;
pub(crate) use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Relaxed,
    Release, //
};
pub(crate) use kernel::sync::barrier::{
    smp_mb,
    Read,
    Write, //
};

use kvm_bindings as bindings;

/// Tells the CPU that this is a busy loop.
#[inline(always)]
pub fn cpu_relax() {
    // SAFETY: No requirements.
    unsafe { bindings::kvmrs_cpu_relax() }
}
