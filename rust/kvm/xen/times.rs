// SPDX-License-Identifier: GPL-2.0

//! The states of a vCPU, and how long it was in each of them, as values.
//!
//! The model compiles this file as it is.

#![forbid(unsafe_code)]

/// What a vCPU does, as Xen has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// It has a CPU, or userspace works for it.
    Running,
    /// It would run, but others have the CPU.
    Runnable,
    /// It waits for something.
    Blocked,
    /// It does not take part.
    Offline,
}

impl RunState {
    /// The state of that number.
    #[inline(always)]
    pub fn new(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::Running,
            1 => Self::Runnable,
            2 => Self::Blocked,
            3 => Self::Offline,
            _ => return None,
        })
    }
}

/// How long a vCPU was in each state, in nanoseconds of the guest's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The state that it is in.
    pub state: RunState,
    /// When it entered that. 0 if it never ran.
    pub entry: u64,
    /// How long it was in each, up to then.
    pub spent: [u64; 4],
    /// How long its task has waited for a CPU altogether, up to then.
    pub waited: u64,
}

impl Times {
    /// It was in `state` for `time` more.
    #[inline(always)]
    pub fn spend(&mut self, state: RunState, time: u64) {
        let spent = &mut self.spent[state as usize];
        *spent = spent.wrapping_add(time);
    }
}
