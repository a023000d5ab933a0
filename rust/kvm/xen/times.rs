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
    /// All, by their numbers.
    const ALL: [Self; 4] = [Self::Running, Self::Runnable, Self::Blocked, Self::Offline];

    /// The state of that number.
    #[inline(always)]
    pub fn new(number: u64) -> Option<Self> {
        Self::ALL.get(number as usize).copied()
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

/// A vCPU's stay in the state that it is in: what [`Times`] say but for how long it was in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stay {
    /// The state.
    pub state: RunState,
    /// When it entered that. 0 if it never ran.
    pub entry: u64,
    /// How long its task had waited for a CPU altogether, up to then.
    pub waited: u64,
}

/// What a stay that is over was spent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// The state that the vCPU was in.
    pub state: RunState,
    /// For how long.
    pub time: u64,
    /// For how long others had its CPU instead: then it was runnable.
    pub stolen: u64,
}

impl Times {
    /// The stay that it is in.
    #[inline(always)]
    pub fn stay(&self) -> Stay {
        Stay {
            state: self.state,
            entry: self.entry,
            waited: self.waited,
        }
    }
}

impl Spent {
    /// Adds it to the time spent in each state.
    #[inline(always)]
    pub fn add_to(&self, spent: &mut [u64; 4]) {
        for (state, time) in [(RunState::Runnable, self.stolen), (self.state, self.time)] {
            spent[state as usize] = spent[state as usize].wrapping_add(time);
        }
    }
}
