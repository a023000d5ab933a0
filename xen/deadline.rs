// SPDX-License-Identifier: GPL-2.0

//! When a timer of the guest's is due.
//!
//! The guest names a time on its own clock, which it reads from the TSC by the numbers that KVM has given it. So
//! KVM reads that clock in the same way, and the host's clock at the same moment: what is left on the one is left
//! on the other. Where the guest has no such numbers yet, KVM's own idea of the guest's clock has to do.
//!
//! C counterpart: `kvm_xen_start_timer()`.

use crate::{
    kvm::{
        gpc::Gpc,
        xen::{Runner, VCPU_TIME},
        SlotsHeld, //
    },
    pfncache::pvclock, //
};

/// What a timer that is too far in the future is set to.
const WORKAROUND: u64 = 100_000_000;
/// From here on it is too far: about 13 days.
const TOO_FAR: u64 = 1 << 50;

/// What both clocks say at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The guest's.
    pub guest: u64,
    /// The host's.
    pub host: u64,
}

impl Now {
    /// The present. May sleep.
    pub fn of(runner: &Runner, slots: &mut SlotsHeld<'_>) -> Self {
        match Clock::of(runner, slots) {
            Some(clock) => {
                let moment = runner.moment();
                Self {
                    guest: clock.at(moment.tsc),
                    host: moment.host,
                }
            }
            None => Self {
                guest: runner.now(),
                host: runner.host_now(),
            },
        }
    }
}

/// The guest's clock, as it was given to the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The guest's TSC at some moment.
    pub tsc: u64,
    /// The clock then.
    pub time: u64,
    /// By how many bits TSC ticks are shifted before they are multiplied.
    pub shift: i8,
    /// The multiplier, as a fraction of 2^32.
    pub multiplier: u32,
}

impl Clock {
    /// That of a guest, if it has one that ticks as KVM has it. It may be in two places: one of them may
    /// be old, or not there.
    fn of(runner: &Runner, slots: &mut SlotsHeld<'_>) -> Option<Self> {
        if !runner.has_steady_clock() {
            return None;
        }
        let (info, time) = (runner.target().vcpu_info(), runner.time_info());
        Self::in_page(runner, slots, info, VCPU_TIME)
            .or_else(|| Self::in_page(runner, slots, time, 0))
    }

    fn in_page(runner: &Runner, slots: &mut SlotsHeld<'_>, cache: &Gpc, at: usize) -> Option<Self> {
        if !cache.is_active() {
            return None;
        }
        let clock = Self::new(&pvclock::read(cache, slots, at)?);
        ((clock.shift, clock.multiplier) == runner.ticks()).then_some(clock)
    }

    /// What the words of a `struct pvclock_vcpu_time_info` say.
    pub fn new(words: &pvclock::Clock) -> Self {
        let [_, _, tsc, tsc_high, time, time_high, multiplier, rest] = words.map(|word| word.0);
        let wide = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        Self {
            tsc: wide(tsc, tsc_high),
            time: wide(time, time_high),
            // The lowest byte.
            shift: rest as i8,
            multiplier,
        }
    }

    /// The time on the clock when the guest's TSC is `tsc`, as the guest computes it.
    pub fn at(&self, tsc: u64) -> u64 {
        let passed = tsc.wrapping_sub(self.tsc);
        let shift = u32::from(self.shift.unsigned_abs());
        let passed = match self.shift < 0 {
            true => passed.checked_shr(shift),
            false => passed.checked_shl(shift),
        };
        let product = u128::from(passed.unwrap_or(0)) * u128::from(self.multiplier);
        self.time.wrapping_add((product >> 32) as u64)
    }
}

/// Who has set a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setter {
    /// Old Linux guests ask for times by `set_timer_op` that have overflowed. Xen has a way with those, and so
    /// must we.
    SetTimerOp,
    /// Anything else means what it says.
    Other,
}

/// A timer as it is to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// When it is due, on the guest's clock. Not 0, which a timer has that is stopped.
    pub guest: u64,
    /// In how many nanoseconds that is, or `None` if it is due already.
    pub left: Option<u64>,
}

impl Deadline {
    /// What is asked for by `setter`, where the guest's clock says `now`.
    pub fn new(wanted: u64, now: u64, setter: Setter) -> Self {
        let left = wanted.wrapping_sub(now);
        if setter == Setter::SetTimerOp && is_overflow(wanted, left) {
            return Self::at(now.wrapping_add(WORKAROUND), Some(WORKAROUND));
        }
        Self::at(wanted, (left as i64 > 0).then_some(left))
    }

    fn at(guest: u64, left: Option<u64>) -> Self {
        let guest = guest.max(1);
        Self { guest, left }
    }
}

/// Whether old Linux guests mean something else: the time is negative, or too far from now.
fn is_overflow(wanted: u64, left: u64) -> bool {
    (wanted as i64) < 0 || left as i64 > 0 && left >= TOO_FAR
}
