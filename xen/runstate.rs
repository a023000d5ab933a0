// SPDX-License-Identifier: GPL-2.0

//! A vCPU enters another run state, and its guest hears of it.
//!
//! The scheduler says when a vCPU has lost its CPU. There nobody can wait for a page. If one of the area's pages
//! is gone, the guest is *owed* its copy. The vCPU's task makes up for it the next time that it may sleep: when the
//! vCPU has a CPU again, or when userspace asks for its times. C also gives up if another task has the lock of a
//! page's cache. Here there is no such lock.
//!
//! The scheduler changes the times too, in the middle of what the vCPU's task does. So the task changes and copies
//! them with preemption off, and reads the clocks within. C reads them first, and counts time twice if the
//! scheduler comes in between.
//!
//! C counterpart: `kvm_xen_update_runstate()` and `kvm_xen_update_runstate_guest()`.

use super::{
    area::{Area, Missing},
    claim::{self, Claim, Implausible},
    times, //
};
use crate::{
    kvm::{
        gpc::{Address, Refused, Sleeper, PAGE_SIZE},
        xen::{RunState, Runner},
        SlotsHeld, //
    },
    pfncache::refresh::{activate, deactivate, refresh}, //
};

/// The vCPU enters `state`, and has its task to itself.
#[inline(always)]
pub fn enter(runner: &Runner, slots: &mut SlotsHeld<'_>, state: RunState) {
    account(runner, state);
    show(runner, slots);
}

/// Others have the CPU. Never waits.
pub fn preempt(runner: &Runner, slots: &SlotsHeld<'_>) {
    account(runner, RunState::Runnable);
    if runner.area().0.is_active() {
        runner.set_owed(try_show(runner, slots).is_err());
    }
}

#[inline(always)]
fn account(runner: &Runner, state: RunState) {
    runner.end_stay(|stay| times::enter(stay, state, runner.now(), runner.waited()));
}

/// Userspace says what the state and the times are. The guest hears of it at the next change.
pub fn set(runner: &Runner, claim: &Claim) -> Result<(), Implausible> {
    runner.change_times(|times| claim::set(times, claim, runner.now(), runner.waited()))
}

/// Userspace says by how much the times are longer, and which state the vCPU enters, if any.
pub fn adjust(
    runner: &Runner,
    slots: &mut SlotsHeld<'_>,
    claim: &Claim,
) -> Result<(), Implausible> {
    let state = runner.change_times(|times| claim::adjust(times, claim, runner.now()))?;
    match state {
        Some(state) => enter(runner, slots, state),
        None => show(runner, slots),
    }
    Ok(())
}

/// Userspace says where the guest wants its copy, or that it wants none.
pub fn place(
    runner: &Runner,
    slots: &mut SlotsHeld<'_>,
    address: Option<Address>,
) -> Result<(), Refused> {
    let placed = match address {
        Some(address) => try_place(runner, slots, address),
        None => Err(Refused::Inactive),
    };
    if placed.is_err() {
        let (first, second) = runner.area();
        deactivate(first);
        deactivate(second);
    }
    show(runner, slots);
    match address {
        Some(_) => placed,
        None => Ok(()),
    }
}

/// The second page is in use only if the guest's width needs it. That may change.
fn try_place(runner: &Runner, slots: &mut SlotsHeld<'_>, address: Address) -> Result<(), Refused> {
    let (first, second) = runner.area();
    let here = PAGE_SIZE - address.offset();
    let mut task = Sleeper::new(slots)?;
    activate(first, address, here, &mut task)?;
    match runner.layout().places().runstate.saturating_sub(here) {
        0 => deactivate(second),
        there => activate(second, address.after(here), there, &mut task)?,
    }
    Ok(())
}

/// Writes what is owed, if anything is.
pub fn make_up(runner: &Runner, slots: &mut SlotsHeld<'_>) {
    if runner.is_owed() {
        show(runner, slots);
    }
}

/// Writes the guest's copy. It is owed if a page cannot be had. May sleep.
#[inline(always)]
fn show(runner: &Runner, slots: &mut SlotsHeld<'_>) {
    // First, as the scheduler may come to owe it at any time.
    runner.set_owed(false);
    if runner.area().0.is_active() {
        if let Err(missing) = try_show(runner, slots) {
            show_when_found(runner, slots, missing);
        }
    }
}

/// Apart, so that who finds the pages pays nothing for it.
#[cold]
#[inline(never)]
fn show_when_found(runner: &Runner, slots: &mut SlotsHeld<'_>, mut missing: Missing) {
    while runner.area().0.is_active() {
        let found = Sleeper::new(slots).and_then(|mut task| find(runner, missing, &mut task));
        if found.is_err() {
            return runner.set_owed(true);
        }
        match try_show(runner, slots) {
            Ok(()) => return,
            Err(another) => missing = another,
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
