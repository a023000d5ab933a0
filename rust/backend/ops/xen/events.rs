// SPDX-License-Identifier: GPL-2.0

//! Events on their way to the guest.

use crate::{
    kvm::{
        xen::{Event, Port, Target, TWO_LEVELS},
        SlotsHeld,
        Vm, //
    },
    xen::evtchn::{
        self,
        Sent, //
    }, //
};
use kernel::{
    error::from_result,
    ffi::c_int,
    prelude::*, //
};
use kvm_bindings as bindings;

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
    // SAFETY: `xe` is an event of `kvm`, and an event is one of a live VM.
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
    // SAFETY: `xe` is an event of `kvm`, and an event is one of a live VM.
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
    // SAFETY: The vCPU is current, so that its VM is live, and both stay.
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
    // SAFETY: By the section above `vcpu` is a vCPU of a live VM.
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
    // SAFETY: By the section above `vcpu` is a vCPU of a live VM.
    let target = unsafe { Target::from_raw(vcpu) };
    let pending = target
        .vm()
        .hold_slots(|slots| evtchn::is_upcall_pending(target, slots));
    pending.into()
}

/// Userspace sends an event (`kvm_xen_hvm_evtchn_send`). What the guest has masked is sent as well.
///
/// # Safety
///
/// `kvm` is a live VM, and `said` can be read, and is changed by nobody. May sleep.
pub(in crate::backend) unsafe extern "C" fn hvm_evtchn_send(
    kvm: *mut bindings::kvm,
    said: *mut bindings::kvm_irq_routing_xen_evtchn,
) -> c_int {
    // SAFETY: The VM is live, and by the section above `said` can be read, and does not change.
    let (vm, said) = unsafe { (Vm::from_raw(kvm), &*said) };
    from_result(|| {
        if said.port == 0 || said.priority != TWO_LEVELS {
            return Err(EINVAL);
        }
        let event = Event::new(said.port, said.vcpu);
        let (target, port) = place_of(vm, &event).ok_or(EINVAL)?;
        let shared = vm.xen_shared_info();
        vm.hold_slots(|slots| evtchn::send_at_last(shared, slots, target, port))?;
        Ok(0)
    })
}

/// Userspace says which event an interrupt is (`kvm_xen_setup_evtchn`). There need not be such a port or vCPU yet.
///
/// # Safety
///
/// `kvm` is a live VM, `said` can be read, and `xe` be written. Nobody else has that.
pub(in crate::backend) unsafe extern "C" fn setup_evtchn(
    kvm: *mut bindings::kvm,
    xe: *mut bindings::kvm_xen_evtchn,
    said: *const bindings::kvm_irq_routing_xen_evtchn,
) -> c_int {
    // SAFETY: The VM is live, and by the section above `said` can be read, and nobody else has it.
    let (vm, said) = unsafe { (Vm::from_raw(kvm), &*said) };
    if said.priority != TWO_LEVELS {
        return EINVAL.to_errno();
    }
    let event = Event::new(said.port, said.vcpu);
    // Looking for it takes long, so it is done here if it can be.
    let _ = event.target(vm);
    // SAFETY: By the section above `xe` can be written, and nobody else has it.
    unsafe { event.move_to(xe) };
    0
}
