// SPDX-License-Identifier: GPL-2.0

//! What userspace asks for of vCPUs.

use super::settings::{
    counts_delays,
    is_of_runstate,
    Attribute,
    Runstate,
    TimerSaid, //
};
use crate::{
    kvm::{
        gpc::{Address, Gpc},
        xen::{Runner, TWO_LEVELS},
        SlotsHeld, //
    },
    pfncache::refresh,
    xen::{
        runstate,
        timer::{self, Recipient}, //
    },
};
use kernel::{
    error::from_result,
    ffi::c_int,
    prelude::*, //
};
use kvm_bindings as bindings;

/// Userspace asks for something of a vCPU (`kvm_xen_vcpu_get_attr`).
///
/// # Safety
///
/// `vcpu` is a vCPU of a live VM whose `vcpu->mutex` the current task holds, and `data` can be read and written, and
/// is the task's alone. May sleep.
pub(in crate::backend) unsafe extern "C" fn vcpu_get_attr(
    vcpu: *mut bindings::kvm_vcpu,
    data: *mut Attribute,
) -> c_int {
    // SAFETY: By the section above the VM is live, and the current task holds `vcpu->mutex`.
    let runner = unsafe { Runner::from_raw(vcpu) };
    // SAFETY: By the section above the attribute can be read and written, and is the task's alone.
    let attribute = unsafe { &mut *data };
    let _lock = runner.vm().xen_lock();
    from_result(|| {
        runner
            .vm()
            .hold_slots(|slots| get(runner, slots, attribute))?;
        Ok(0)
    })
}

fn get(runner: &Runner, slots: &mut SlotsHeld<'_>, attribute: &mut Attribute) -> Result {
    let what = &mut attribute.u;
    let info = runner.target().vcpu_info();
    match u32::from(attribute.type_) {
        bindings::KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO => {
            what.gpa = gpa_of(info).unwrap_or(bindings::KVM_XEN_INVALID_GPA);
        }
        bindings::KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA => what.hva = hva_of(info).unwrap_or(0),
        bindings::KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO => {
            what.gpa = gpa_of(runner.time_info()).unwrap_or(bindings::KVM_XEN_INVALID_GPA);
        }
        bindings::KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID => what.vcpu_id = runner.xen_id().unwrap_or(NO_ID),
        bindings::KVM_XEN_VCPU_ATTR_TYPE_TIMER => what.timer = get_timer(runner, slots),
        bindings::KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR => {
            what.vector = runner.target().upcall_vector().unwrap_or(0);
        }
        kind if is_of_runstate(kind) => get_runstate(runner, slots, kind, what)?,
        _ => return Err(ENOENT),
    }
    Ok(())
}

/// What C has for a vCPU that Xen has no number of.
const NO_ID: u32 = u32::MAX;

fn get_runstate(
    runner: &Runner,
    slots: &mut SlotsHeld<'_>,
    kind: u32,
    what: &mut bindings::kvm_xen_vcpu_attr__bindgen_ty_1,
) -> Result {
    counts_delays()?;
    runstate::make_up(runner, slots);
    match kind {
        bindings::KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR => {
            what.gpa = gpa_of(runner.area().0).ok_or(ENOENT)?;
        }
        bindings::KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT => {
            what.runstate.state = runner.times().state as u64;
        }
        bindings::KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA => what.runstate = said_of(runner),
        _ => return Err(EINVAL),
    }
    Ok(())
}

fn get_timer(runner: &Runner, slots: &mut SlotsHeld<'_>) -> TimerSaid {
    let target = runner.target();
    TimerSaid {
        expires_ns: timer::due(target.timer(), Recipient::of(target), slots),
        port: target.timer().port(),
        priority: TWO_LEVELS,
    }
}

fn said_of(runner: &Runner) -> Runstate {
    let times = runner.times();
    let [time_running, time_runnable, time_blocked, time_offline] = times.spent;
    Runstate {
        state: times.state as u64,
        state_entry_time: times.entry,
        time_running,
        time_runnable,
        time_blocked,
        time_offline,
    }
}

/// Where the guest has what a cache is for.
fn gpa_of(cache: &Gpc) -> Option<u64> {
    match refresh::place(cache)? {
        Address::Guest(gpa) => Some(gpa),
        Address::Host(_) => None,
    }
}

/// Where the task has it, if userspace has said it so.
fn hva_of(cache: &Gpc) -> Option<u64> {
    match refresh::place(cache)? {
        Address::Guest(_) => None,
        Address::Host(hva) => Some(hva as u64),
    }
}
