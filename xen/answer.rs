// SPDX-License-Identifier: GPL-2.0

//! Answers the calls of a guest's kernel.
//!
//! A call that KVM does not answer is userspace's. That may also be so for want of what userspace has not set up: a
//! version, a timer's port, what a port leads to.
//!
//! C counterpart: `kvm_xen_hypercall()` and the functions that it calls.

use super::{
    deadline::Setter,
    evtchn::send_at_last,
    hypercall::{Call, Described, Refusal, Registers, XenVcpuId},
    poll::poll,
    timer, //
};
use crate::kvm::xen::{Assigned, Caller, Destination, Layout, NATIVE};

/// What the guest gets for its call.
pub type Answer = Result<u64, Refusal>;

/// All is well.
const DONE: Answer = Ok(0);

/// Answers the call that `registers` say. `None` if userspace has to. May sleep.
pub fn answer(caller: &mut Caller<'_>, registers: &Registers) -> Option<Answer> {
    let kernel = registers.kernel()?;
    match registers.call(kernel)? {
        Call::Version => version(caller),
        Call::Send(send) => send_event(caller, send),
        Call::Poll(request) if caller.may_poll() => {
            Some(poll(caller, registers.layout, request).map(|()| 0))
        }
        Call::Poll(_) | Call::Yield => {
            caller.give_way();
            Some(DONE)
        }
        Call::SetSingleshot(vcpu, wanted) => own_timer(caller, vcpu, |caller| {
            set_singleshot(caller, registers.layout, wanted)
        }),
        Call::StopSingleshot(vcpu) => own_timer(caller, vcpu, |caller| {
            let _ = timer::stop(caller.target().timer());
            DONE
        }),
        Call::SetTimer(wanted) => set_timer(caller, wanted),
    }
}

fn version(caller: &Caller<'_>) -> Option<Answer> {
    match caller.xen_version() {
        0 => None,
        version => Some(Ok(version.into())),
    }
}

/// Sends an event by a port of the guest's. Where it leads to is up to userspace, and what leads to no vCPU or
/// port is userspace's as well.
fn send_event(caller: &mut Caller<'_>, send: Described) -> Option<Answer> {
    let mut number = [0; 4];
    if caller.read(send.0, &mut number).is_none() {
        return Some(Err(Refusal::Fault));
    }
    let Assigned { to, .. } = caller.assigned(u32::from_le_bytes(number))?;
    let (target, number) = match to {
        Destination::Port(event) => (caller.target_of(event)?, event.port()),
        Destination::EventFd(eventfd) => {
            eventfd.signal();
            return Some(DONE);
        }
    };
    let port = caller.target().layout().port(number)?;
    let shared = caller.target().shared_info();
    let sent = send_at_last(shared, caller.slots(), target, port);
    sent.is_ok().then_some(DONE)
}

/// Answers a call about the timer of the vCPU that Xen calls `vcpu`. A vCPU may only change its own.
fn own_timer(
    caller: &mut Caller<'_>,
    vcpu: XenVcpuId,
    change: impl FnOnce(&mut Caller<'_>) -> Answer,
) -> Option<Answer> {
    if !has_timer(caller) {
        return None;
    }
    match caller.xen_id()? == vcpu.0 {
        true => Some(change(caller)),
        false => Some(Err(Refusal::Invalid)),
    }
}

fn has_timer(caller: &Caller<'_>) -> bool {
    caller.target().timer().port() != 0
}

/// Sets the timer to the time that a `struct vcpu_set_singleshot_timer` begins with. What follows are flags, which
/// are ignored. They must be there.
fn set_singleshot(caller: &mut Caller<'_>, layout: Layout, wanted: Described) -> Answer {
    let mut bytes = [0; NATIVE.singleshot];
    let size = layout.places().singleshot;
    let read = caller.read(wanted.0, &mut bytes[..size]);
    read.ok_or(Refusal::Fault)?;
    let time = core::array::from_fn(|at| bytes[at]);
    timer::set_to(
        caller.runner(),
        caller.slots(),
        u64::from_le_bytes(time),
        Setter::Other,
    );
    DONE
}

fn set_timer(caller: &mut Caller<'_>, wanted: u64) -> Option<Answer> {
    if !has_timer(caller) {
        return None;
    }
    match wanted {
        0 => drop(timer::stop(caller.target().timer())),
        _ => timer::set_to(caller.runner(), caller.slots(), wanted, Setter::SetTimerOp),
    }
    Some(DONE)
}
