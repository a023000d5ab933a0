// SPDX-License-Identifier: GPL-2.0

//! Xen guests on this backend: functions of `arch/x86/kvm/xen.c`.

use crate::{
    kvm::{
        xen::{RunState, Runner},
        SlotsHeld, //
    },
    xen::runstate, //
};
use kernel::ffi::c_int;
use kvm_bindings as bindings;

/// A vCPU enters another run state (`kvm_xen_update_runstate`).
///
/// # Safety
///
/// `vcpu` is one of a live VM whose `vcpu->mutex` the current task holds. `kvm->srcu` is held. May sleep, unless
/// `state` is "runnable", which the scheduler says of a vCPU when it takes its CPU from it. So may userspace.
pub(in crate::backend) unsafe extern "C" fn update_runstate(
    vcpu: *mut bindings::kvm_vcpu,
    state: c_int,
) {
    // SAFETY: The vCPU is the task's.
    let runner = unsafe { Runner::from_raw(vcpu) };
    // SAFETY: `kvm->srcu` is held.
    let mut slots = unsafe { SlotsHeld::assume(runner.vm()) };
    match RunState::new(state as u64) {
        Some(RunState::Runnable) => runstate::preempt(runner, &slots),
        Some(state) => runstate::enter(runner, &mut slots, state),
        None => runner.vm().bug(),
    }
}

/// Writes a vCPU's run state for the guest, if it wants that (`kvm_xen_update_runstate_guest`).
///
/// # Safety
///
/// As above. May sleep.
pub(in crate::backend) unsafe extern "C" fn write_runstate(vcpu: *mut bindings::kvm_vcpu) {
    // SAFETY: The vCPU is the task's.
    let runner = unsafe { Runner::from_raw(vcpu) };
    // SAFETY: `kvm->srcu` is held.
    runstate::show(runner, &mut unsafe { SlotsHeld::assume(runner.vm()) });
}
