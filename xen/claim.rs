// SPDX-License-Identifier: GPL-2.0

//! What userspace says of a vCPU's run state: when a VM comes from elsewhere, or when a VMM has done something
//! for a vCPU that KVM does not know of.
//!
//! C counterpart: `KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA` and `KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST` in
//! `kvm_xen_vcpu_set_attr()`.

use crate::kvm::xen::{
    RunState,
    Times, //
};

/// What userspace says of a vCPU, as the numbers that it gave.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Of the state.
    pub state: u64,
    /// When it was entered, or by how much that is later.
    pub entry: u64,
    /// The times spent in each state, or by how much they are longer.
    pub spent: [u64; 4],
}

/// No state: leave the one that there is.
const SAME_STATE: u64 = u64::MAX;

impl Claim {
    fn adds_up(&self) -> bool {
        let sum = self
            .spent
            .iter()
            .fold(0u64, |sum, time| sum.wrapping_add(*time));
        sum == self.entry
    }
}

/// Why userspace's numbers are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Implausible;

/// The state, and all times, are what userspace says, at `now`.
pub fn set(times: &mut Times, claim: &Claim, now: u64, waited: u64) -> Result<(), Implausible> {
    let state = RunState::new(claim.state).ok_or(Implausible)?;
    if !claim.adds_up() || now < claim.entry {
        return Err(Implausible);
    }
    *times = Times {
        state,
        entry: claim.entry,
        spent: claim.spent,
        waited,
    };
    Ok(())
}

/// All times are longer by what userspace says, at `now`. Returns which state the vCPU is to enter, if
/// userspace names one.
pub fn adjust(times: &mut Times, claim: &Claim, now: u64) -> Result<Option<RunState>, Implausible> {
    let state = RunState::new(claim.state);
    if state.is_none() && claim.state != SAME_STATE {
        return Err(Implausible);
    }
    let entry = times.entry.wrapping_add(claim.entry);
    if !claim.adds_up() || now < entry {
        return Err(Implausible);
    }
    times.entry = entry;
    for (time, more) in times.spent.iter_mut().zip(claim.spent) {
        *time = time.wrapping_add(more);
    }
    Ok(state)
}
