// SPDX-License-Identifier: GPL-2.0

//! A vCPU's one-shot timer.
//!
//! | state | the guest's time | to be delivered | from it leads | to |
//! |---|---|---|---|---|
//! | stopped | 0 | no | `set` | armed, or expired at once |
//! | armed | when it is due | no | the interrupt, if the event can be sent | stopped |
//! | | | | the interrupt, if it cannot | expired |
//! | | | | `stop`, `set` | stopped |
//! | expired | when it was due | yes | the vCPU's task (`deliver`) | stopped |
//! | | | | `stop`, `set` | stopped |
//!
//! The interrupt is the only one that changes anything beside the vCPU's task. So the task stops the timer before
//! it looks further: a [`Stopped`] has waited for the interrupt, and only such a value can be started. C has a short cut
//! for a timer whose time is 0. Here that is the state alone: the interrupt may not have returned yet, and the VM
//! must stay until it has.
//!
//! C counterpart: `xen_timer_callback()`, `kvm_xen_start_timer()`, `kvm_xen_stop_timer()` and
//! `kvm_xen_inject_timer_irqs()`.

use super::{
    deadline::{Deadline, Now, Setter},
    evtchn::{send, send_at_last, Sent}, //
};
use crate::{
    kvm::{
        gpc::Gpc,
        xen::{Layout, Runner, Stopped, Target, Timer},
        SlotsHeld, //
    },
    sync::{Acquire, Relaxed, Release}, //
};

/// The guest's time of a timer that is stopped.
const NEVER: u64 = 0;

/// Whom a timer tells, and by which pages.
#[derive(Clone, Copy)]
pub struct Recipient<'a> {
    /// The vCPU.
    pub target: &'a Target,
    /// For the VM's `shared_info`.
    pub shared: &'a Gpc,
    /// The guest's width.
    pub layout: Layout,
}

impl<'a> Recipient<'a> {
    /// The guest of that vCPU.
    pub fn of(target: &'a Target) -> Self {
        Self {
            target,
            shared: target.shared_info(),
            layout: target.layout(),
        }
    }

    /// Sends the timer's event. What has no such port does not hear of it.
    fn tell(&self, timer: &Timer, slots: &SlotsHeld<'_>) -> Sent {
        match self.layout.port(timer.port()) {
            Some(port) => send(self.shared, slots, self.target, port),
            None => Sent::Masked,
        }
    }
}

/// The timer is due, and it is not the task that has to deal with it now: a hard interrupt. Never waits.
pub fn expire(timer: &Timer, to: Recipient<'_>, slots: &SlotsHeld<'_>) {
    match to.tell(timer, slots) {
        Sent::Absent => {
            timer.undelivered().store(1, Release);
            to.target.wake();
        }
        // Who finds it stopped finds the event, too.
        Sent::Raised | Sent::Pending | Sent::Masked => timer.due().store(NEVER, Release),
    }
}

/// Sends what the interrupt could not, before the vCPU enters the guest. May sleep.
///
/// A guest without the bitmaps has no events: then nothing is left of this one.
pub fn deliver(timer: &Timer, to: Recipient<'_>, slots: &mut SlotsHeld<'_>) {
    if timer.undelivered().load(Acquire) == 0 {
        return;
    }
    if let Some(port) = to.layout.port(timer.port()) {
        let _ = send_at_last(to.shared, slots, to.target, port);
    }
    clear(timer);
}

/// The timer is stopped, and nothing of it is left.
pub fn stop(timer: &Timer) -> Stopped<'_> {
    let stopped = timer.stop();
    clear(timer);
    stopped
}

fn clear(timer: &Timer) {
    timer.undelivered().store(0, Relaxed);
    timer.due().store(NEVER, Relaxed);
}

/// Sets the timer to `deadline`, where the host's clock says `now`. One that is due already tells at once.
pub fn set(timer: &Timer, to: Recipient<'_>, slots: &SlotsHeld<'_>, deadline: Deadline, now: u64) {
    let stopped = stop(timer);
    timer.due().store(deadline.guest, Relaxed);
    match deadline.left {
        Some(left) => stopped.start(now.wrapping_add(left)),
        None => expire(timer, to, slots),
    }
}

/// The guest, or userspace for it, sets the timer to a time on the guest's clock. May sleep.
pub fn set_to(runner: &Runner, slots: &mut SlotsHeld<'_>, wanted: u64, setter: Setter) {
    let now = Now::of(runner, slots);
    let deadline = Deadline::new(wanted, now.guest, setter);
    let target = runner.target();
    set(
        target.timer(),
        Recipient::of(target),
        slots,
        deadline,
        now.host,
    );
}

/// When the timer is due on the guest's clock, or 0: then the event, if there was one, has been sent. May sleep.
///
/// The timer goes on. If it tells the guest meanwhile, and another host once more, the guest hears it once: the
/// port is pending then.
pub fn due(timer: &Timer, to: Recipient<'_>, slots: &mut SlotsHeld<'_>) -> u64 {
    let stopped = timer.stop();
    deliver(timer, to, slots);
    let due = timer.due().load(Relaxed);
    if due != NEVER {
        stopped.restart();
    }
    due
}
