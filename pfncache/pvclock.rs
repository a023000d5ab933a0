// SPDX-License-Identifier: GPL-2.0

//! The guest's clock.
//!
//! The guest reads it at any time, also that of another vCPU. So its version is odd while it is written,
//! and another even number afterwards.

use super::refresh::refresh;
use crate::{
    kvm::{
        gpc::{Gpc, GuestPage, Sleeper},
        SlotsHeld, //
    },
    sync::{smp_mb, Write}, //
};

/// Words of a clock.
pub const WORDS: usize = 8;
/// Its bytes.
const SIZE: usize = 4 * WORDS;
/// The word of the version, the first one.
const VERSION: usize = 0;
/// The word of the flags.
pub(crate) const FLAGS: usize = 7;
/// Whose bit it is that the guest was stopped. The guest takes it away.
pub(crate) const GUEST_STOPPED: u32 = 2 << 8;

/// A `struct pvclock_vcpu_time_info`, word by word.
pub type Clock = [u32; WORDS];

/// Writes `clock` at `at` of what `cache` is for, which is made valid if need be. Returns whether it was
/// written. `clock` is what the guest has, then.
pub fn write(cache: &Gpc, slots: &mut SlotsHeld<'_>, at: usize, clock: &mut Clock) -> bool {
    loop {
        if let Some(page) = GuestPage::pin(cache, slots, at + SIZE) {
            return update(&page, at, clock).is_some();
        }
        let task = Sleeper::new(slots);
        if task
            .and_then(|mut task| refresh(cache, at + SIZE, &mut task))
            .is_err()
        {
            return false;
        }
    }
}

/// The clock that the guest has at `at` of what `cache` is for, which is made valid if need be. The guest may have
/// written anything there.
pub fn read(cache: &Gpc, slots: &mut SlotsHeld<'_>, at: usize) -> Option<Clock> {
    loop {
        if let Some(page) = GuestPage::pin(cache, slots, at + SIZE) {
            let mut clock = [0; WORDS];
            for (index, word) in clock.iter_mut().enumerate() {
                *word = page.read_u32(at + 4 * index)?;
            }
            return Some(clock);
        }
        let mut task = Sleeper::new(slots).ok()?;
        refresh(cache, at + SIZE, &mut task).ok()?;
    }
}

fn update(page: &GuestPage<'_>, at: usize, clock: &mut Clock) -> Option<()> {
    let odd = page.read_u32(at)?.wrapping_add(1) | 1;
    page.write_u32(at, odd)?;
    smp_mb(Write);
    clock[FLAGS] |= page.read_u32(at + 4 * FLAGS)? & GUEST_STOPPED;
    clock[VERSION] = odd;
    page.write_words(at, clock)?;
    smp_mb(Write);
    clock[VERSION] = odd.wrapping_add(1);
    page.write_u32(at, clock[VERSION])?;
    page.mark_dirty();
    Some(())
}
