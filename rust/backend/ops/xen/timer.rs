// SPDX-License-Identifier: GPL-2.0

//! Timers of vCPUs.

use crate::{
    kvm::xen::Target,
    xen::timer::{
        self,
        Recipient, //
    }, //
};
use kvm_bindings as bindings;

/// A timer is due (`xen_timer_callback`).
///
/// # Safety
///
/// `vcpu` is a vCPU of a live VM. Any context: a hard interrupt.
pub(in crate::backend) unsafe extern "C" fn timer_expired(vcpu: *mut bindings::kvm_vcpu) {
    // SAFETY: The vCPU stays until its timer is stopped.
    let target = unsafe { Target::from_raw(vcpu) };
    let vm = target.vm();
    vm.hold_slots(|slots| timer::expire(target.timer(), Recipient::of(target), slots));
}

/// Sends what the interrupt could not (`kvm_xen_inject_timer_irqs`).
///
/// # Safety
///
/// `vcpu` is the current vCPU. May sleep.
pub(in crate::backend) unsafe extern "C" fn inject_timer_irqs(vcpu: *mut bindings::kvm_vcpu) {
    // SAFETY: The vCPU is the task's.
    let target = unsafe { Target::from_raw(vcpu) };
    let vm = target.vm();
    vm.hold_slots(|slots| timer::deliver(target.timer(), Recipient::of(target), slots));
}
