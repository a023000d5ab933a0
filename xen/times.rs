// SPDX-License-Identifier: GPL-2.0

//! How long a vCPU was in each of its states.
//!
//! The sum of all times is the time at which the last state was entered, on the guest's clock. So all that is
//! done here moves both by the same amount.

use crate::kvm::xen::{
    RunState,
    Times, //
};

/// The vCPU enters `state` at `now`, when its task had waited for a CPU for `waited` altogether.
///
/// If the clock was set back, no time has passed. The entry time stays, so that the time is counted once the
/// clock is beyond it again.
pub fn enter(times: &mut Times, state: RunState, now: u64, waited: u64) {
    // What never ran was offline.
    if times.entry == 0 {
        times.state = RunState::Offline;
    }
    let passed = now.wrapping_sub(times.entry);
    if passed as i64 >= 0 {
        let stolen = stolen(times, passed, waited);
        times.spend(RunState::Runnable, stolen);
        times.spend(times.state, passed - stolen);
        times.entry = now;
    }
    times.state = state;
    times.waited = waited;
}

/// How much of the time that has `passed` others had the CPU. Only a vCPU that runs can be robbed, and of no
/// more than there was.
fn stolen(times: &Times, passed: u64, waited: u64) -> u64 {
    let waited = waited.wrapping_sub(times.waited);
    match times.state {
        RunState::Running if waited as i64 > 0 => waited.min(passed),
        _ => 0,
    }
}
