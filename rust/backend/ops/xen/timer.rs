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
    // SAFETY: By the section above the VM is live. C stops the timer, and waits for this, before the vCPU goes.
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
    // SAFETY: The vCPU is current, so that its VM is live, and both stay.
    let target = unsafe { Target::from_raw(vcpu) };
    let vm = target.vm();
    vm.hold_slots(|slots| timer::deliver(target.timer(), Recipient::of(target), slots));
}
