// SPDX-License-Identifier: GPL-2.0

//! Xen guests on this backend: functions of `arch/x86/kvm/xen.c`.
//!
//! Beside what holds for every hook: *An event* is one of a live VM, and nobody changes it meanwhile but for the
//! index of its vCPU.

use crate::{
    kvm::{
        xen::{Caller, Event, Layout, Port, RunState, Runner, Target},
        SlotsHeld,
        Vm, //
    },
    xen::{
        evtchn::{self, Sent},
        poll::{self, Refusal},
        runstate, //
    },
};
use kernel::{
    error::from_result,
    ffi::c_int,
    prelude::*, //
};
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

/// Where an event goes. `None` if there is no such vCPU or port, which userspace need not have made yet.
fn place_of<'vm>(vm: &'vm Vm, event: &Event) -> Option<(&'vm Target, Port)> {
    Some((event.target(vm)?, vm.xen_layout().port(event.port())?))
}

/// What C's functions return for what became of an event.
fn code(sent: Sent) -> Result<c_int> {
    match sent {
        Sent::Raised => Ok(1),
        Sent::Pending => Ok(0),
        Sent::Masked => Err(ENOTCONN),
        // EWOULDBLOCK.
        Sent::Absent => Err(EAGAIN),
    }
}

/// Sends an event, and makes the page present that it needs (`kvm_xen_set_evtchn`).
///
/// # Safety
///
/// `xe` is an event of `kvm`. May sleep.
pub(in crate::backend) unsafe extern "C" fn set_evtchn(
    xe: *mut bindings::kvm_xen_evtchn,
    kvm: *mut bindings::kvm,
) -> c_int {
    // SAFETY: Both are there.
    let (vm, event) = unsafe { (Vm::from_raw(kvm), Event::from_raw(xe)) };
    from_result(|| {
        let (target, port) = place_of(vm, event).ok_or(EINVAL)?;
        let shared = vm.xen_shared_info();
        code(vm.hold_slots(|slots| evtchn::send_at_last(shared, slots, target, port))?)
    })
}

/// Sends an event if that needs no waiting (`kvm_xen_set_evtchn_fast`).
///
/// # Safety
///
/// `xe` is an event of `kvm`. Any context.
pub(in crate::backend) unsafe extern "C" fn set_evtchn_fast(
    xe: *mut bindings::kvm_xen_evtchn,
    kvm: *mut bindings::kvm,
) -> c_int {
    // SAFETY: Both are there.
    let (vm, event) = unsafe { (Vm::from_raw(kvm), Event::from_raw(xe)) };
    from_result(|| {
        let (target, port) = place_of(vm, event).ok_or(EINVAL)?;
        let shared = vm.xen_shared_info();
        code(vm.hold_slots(|slots| evtchn::send(shared, slots, target, port)))
    })
}

/// Tells the guest of events that could not be told before (`kvm_xen_inject_pending_events`).
///
/// # Safety
///
/// `vcpu` is the current vCPU, on its way into the guest. `kvm->srcu` is held. May sleep.
pub(in crate::backend) unsafe extern "C" fn inject_pending_events(vcpu: *mut bindings::kvm_vcpu) {
    // SAFETY: The vCPU is the task's.
    let target = unsafe { Target::from_raw(vcpu) };
    // SAFETY: `kvm->srcu` is held.
    let mut slots = unsafe { SlotsHeld::assume(target.vm()) };
    // What cannot be told now stays owed.
    let _ = evtchn::settle(target, &mut slots, target.vm().xen_layout());
}

/// Tells the guest that there are events (`kvm_xen_inject_vcpu_vector`).
///
/// # Safety
///
/// `vcpu` is a vCPU of a live VM. Any context.
pub(in crate::backend) unsafe extern "C" fn inject_vcpu_vector(vcpu: *mut bindings::kvm_vcpu) {
    // SAFETY: It is one.
    let target = unsafe { Target::from_raw(vcpu) };
    if let Some(vector) = target.upcall_vector() {
        target.interrupt(vector);
    }
}

/// Whether the guest has yet to look at its events (`__kvm_xen_has_interrupt`).
///
/// # Safety
///
/// `vcpu` is a vCPU of a live VM. Any context, also of a task that is about to sleep.
pub(in crate::backend) unsafe extern "C" fn has_interrupt(vcpu: *mut bindings::kvm_vcpu) -> c_int {
    // SAFETY: It is one.
    let target = unsafe { Target::from_raw(vcpu) };
    let pending = target
        .vm()
        .hold_slots(|slots| evtchn::is_upcall_pending(target, slots));
    pending.into()
}

/// The guest sleeps until an event (`kvm_xen_schedop_poll`). Returns false if the call is not for KVM.
///
/// # Safety
///
/// `vcpu` is the current vCPU, whose exit the task handles, with its hold of `kvm->srcu`. `result` can be
/// written. May sleep.
pub(in crate::backend) unsafe extern "C" fn schedop_poll(
    vcpu: *mut bindings::kvm_vcpu,
    wide: bool,
    described: u64,
    result: *mut u64,
) -> bool {
    // SAFETY: The task handles the vCPU's exit.
    let caller = unsafe { Caller::from_raw(vcpu) };
    if !caller.may_poll() {
        return false;
    }
    // SAFETY: `kvm->srcu` is held.
    let mut slots = unsafe { SlotsHeld::assume(caller.vm()) };
    let layout = match wide {
        true => Layout::Native,
        false => Layout::Compat,
    };
    let answer = match poll::poll(&caller, &mut slots, layout, described) {
        Ok(()) => 0,
        Err(Refusal::Invalid) => EINVAL.to_errno(),
        Err(Refusal::Fault) => EFAULT.to_errno(),
    };
    // SAFETY: The result is the caller's to write.
    // CAST: The guest has a negative number in a register.
    unsafe { result.write(i64::from(answer) as u64) };
    true
}
