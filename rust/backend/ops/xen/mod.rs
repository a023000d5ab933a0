// SPDX-License-Identifier: GPL-2.0

//! Xen guests on this backend: functions of `arch/x86/kvm/xen.c`.
//!
//! Beside what holds for every hook: *An event* is one of a live VM, and nobody changes it meanwhile but for the
//! index of its vCPU.

mod calls;
mod events;
mod page;
mod ports;
mod queries;
mod settings;
mod timer;
mod vm;

pub(in crate::backend) use calls::hypercall;
pub(in crate::backend) use events::{
    has_interrupt,
    hvm_evtchn_send,
    inject_pending_events,
    inject_vcpu_vector,
    set_evtchn,
    set_evtchn_fast,
    setup_evtchn, //
};
pub(in crate::backend) use page::write_hypercall_page;
pub(in crate::backend) use ports::destroy_vm;
pub(in crate::backend) use queries::vcpu_get_attr;
pub(in crate::backend) use settings::vcpu_set_attr;
pub(in crate::backend) use timer::{
    inject_timer_irqs,
    timer_expired, //
};
pub(in crate::backend) use vm::{
    hvm_config,
    hvm_get_attr,
    hvm_set_attr, //
};

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
/// `state` is "runnable", which the scheduler says of a vCPU when it takes its CPU from it.
pub(in crate::backend) unsafe extern "C" fn update_runstate(
    vcpu: *mut bindings::kvm_vcpu,
    state: c_int,
) {
    // SAFETY: By the section above the VM is live, and the current task holds `vcpu->mutex`.
    let runner = unsafe { Runner::from_raw(vcpu) };
    // SAFETY: `kvm->srcu` is held.
    let mut slots = unsafe { SlotsHeld::assume(runner.vm()) };
    match RunState::new(state as u64) {
        Some(RunState::Runnable) => runstate::preempt(runner, &slots),
        Some(state) => runstate::enter(runner, &mut slots, state),
        None => runner.vm().bug(),
    }
}
