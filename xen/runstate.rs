// SPDX-License-Identifier: GPL-2.0

//! A vCPU enters another run state, and its guest hears of it.
//!
//! The scheduler says when a vCPU has lost its CPU. There nobody can wait for a page. If one of the area's pages
//! is gone, the guest hears of it when the vCPU has a CPU again. C also gives up if another task has the lock of a
//! page's cache. Here there is no such lock.
//!
//! The scheduler changes the times too, in the middle of what the vCPU's task does. So the task changes and copies
//! them with preemption off, and reads the clocks within. C reads them first, and counts time twice if the
//! scheduler comes in between.
//!
//! C counterpart: `kvm_xen_update_runstate()` and `kvm_xen_update_runstate_guest()`.

use super::{
    area::{Area, Missing},
    times, //
};
use crate::{
    kvm::{
        gpc::{Refused, Sleeper},
        xen::{RunState, Runner},
        SlotsHeld, //
    },
    pfncache::refresh::{activate, refresh}, //
};

/// The vCPU enters `state`, and has its task to itself.
pub fn enter(runner: &Runner, slots: &mut SlotsHeld<'_>, state: RunState) {
    account(runner, state);
    show(runner, slots);
}

/// Others have the CPU, or userspace says so. Never waits.
pub fn preempt(runner: &Runner, slots: &SlotsHeld<'_>) {
    account(runner, RunState::Runnable);
    // The next `enter()` makes up for it.
    let _ = try_show(runner, slots);
}

fn account(runner: &Runner, state: RunState) {
    runner.change_times(|times| times::enter(times, state, runner.now(), runner.waited()));
}

/// Writes the guest's copy, unless a page cannot be had or the guest wants none. May sleep.
pub fn show(runner: &Runner, slots: &mut SlotsHeld<'_>) {
    if !runner.area().0.is_active() {
        return;
    }
    while let Err(missing) = try_show(runner, slots) {
        let found = Sleeper::new(slots).and_then(|mut task| find(runner, missing, &mut task));
        if found.is_err() {
            return;
        }
    }
}

/// Writes it if both pages are there.
fn try_show(runner: &Runner, slots: &SlotsHeld<'_>) -> Result<(), Missing> {
    let (first, second) = runner.area();
    let area = Area::pin(first, second, slots, runner.layout())?;
    area.write(&runner.times(), runner.announces());
    Ok(())
}

/// Makes the cache of a page valid again. The second one may have been in no use: a guest that became wider may
/// need it only now.
fn find(runner: &Runner, missing: Missing, task: &mut Sleeper<'_>) -> Result<(), Refused> {
    let (first, second) = runner.area();
    match missing {
        Missing::First => refresh(first, 0, task),
        Missing::Second(address, len) => activate(second, address, len, task),
    }
}
