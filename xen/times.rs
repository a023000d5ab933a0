// SPDX-License-Identifier: GPL-2.0

//! How long a vCPU was in each of its states.
//!
//! The sum of all times is the time at which the last state was entered, on the guest's clock. So all that is
//! done here moves both by the same amount.

use crate::kvm::xen::{
    RunState,
    Spent,
    Stay, //
};

/// The vCPU enters `state` at `now`, when its task had waited for a CPU for `waited` altogether. Returns what it has
/// done up to then.
///
/// If the clock was set back, no time has passed. The entry time stays, so that the time is counted once the
/// clock is beyond it again.
#[inline(always)]
pub fn enter(stay: &mut Stay, state: RunState, now: u64, waited: u64) -> Spent {
    // What never ran was offline.
    if stay.entry == 0 {
        stay.state = RunState::Offline;
    }
    let spent = spend(stay, now, waited);
    stay.state = state;
    stay.waited = waited;
    spent
}

fn spend(stay: &mut Stay, now: u64, waited: u64) -> Spent {
    let state = stay.state;
    let passed = now.wrapping_sub(stay.entry);
    if (passed as i64) < 0 {
        return Spent {
            state,
            time: 0,
            stolen: 0,
        };
    }
    stay.entry = now;
    let stolen = stolen(stay, passed, waited);
    Spent {
        state,
        time: passed - stolen,
        stolen,
    }
}

/// How much of the time that has `passed` others had the CPU. Only a vCPU that runs can be robbed, and of no
/// more than there was.
fn stolen(stay: &Stay, passed: u64, waited: u64) -> u64 {
    let waited = waited.wrapping_sub(stay.waited);
    match stay.state {
        RunState::Running if waited as i64 > 0 => waited.min(passed),
        _ => 0,
    }
}
