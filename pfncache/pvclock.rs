// SPDX-License-Identifier: GPL-2.0

//! The guest's clock.
//!
//! The guest reads it at any time, also that of another vCPU. So its version is odd while it is written,
//! and another even number afterwards.

use super::refresh::refresh;
use crate::{
    kvm::{
        gpc::{Gpc, GuestPage, PackedWord, Sleeper},
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
pub type Clock = [PackedWord; WORDS];

/// Writes `clock` at `at` of what `cache` is for, which is made valid if need be. Returns whether it was
/// written. `clock` is what the guest has, then.
#[inline(always)]
pub fn write(cache: &Gpc, slots: &mut SlotsHeld<'_>, at: usize, clock: &mut Clock) -> bool {
    try_write(cache, slots, at, clock) || write_when_valid(cache, slots, at, clock)
}

#[inline(always)]
fn try_write(cache: &Gpc, slots: &SlotsHeld<'_>, at: usize, clock: &mut Clock) -> bool {
    GuestPage::pin(cache, slots, at + SIZE).is_some_and(|page| update(&page, at, clock).is_some())
}

/// Apart, so that who finds the page pays nothing for it.
#[cold]
#[inline(never)]
fn write_when_valid(cache: &Gpc, slots: &mut SlotsHeld<'_>, at: usize, clock: &mut Clock) -> bool {
    while make_valid(cache, slots, at) {
        if try_write(cache, slots, at, clock) {
            return true;
        }
    }
    false
}

fn make_valid(cache: &Gpc, slots: &mut SlotsHeld<'_>, at: usize) -> bool {
    let task = Sleeper::new(slots);
    task.and_then(|mut task| refresh(cache, at + SIZE, &mut task))
        .is_ok()
}

/// The clock that the guest has at `at` of what `cache` is for, which is made valid if need be. The guest may have
/// written anything there.
pub fn read(cache: &Gpc, slots: &mut SlotsHeld<'_>, at: usize) -> Option<Clock> {
    loop {
        if let Some(page) = GuestPage::pin(cache, slots, at + SIZE) {
            let mut clock = [PackedWord(0); WORDS];
            for (index, word) in clock.iter_mut().enumerate() {
                *word = PackedWord(page.read_u32(at + 4 * index)?);
            }
            return Some(clock);
        }
        make_valid(cache, slots, at).then_some(())?;
    }
}

#[inline(always)]
fn update(page: &GuestPage<'_>, at: usize, clock: &mut Clock) -> Option<()> {
    let odd = page.read_u32(at)?.wrapping_add(1) | 1;
    page.write_u32(at, odd)?;
    smp_mb(Write);
    clock[FLAGS].0 |= page.read_u32(at + 4 * FLAGS)? & GUEST_STOPPED;
    clock[VERSION] = PackedWord(odd);
    page.write_words(at, clock)?;
    smp_mb(Write);
    clock[VERSION] = PackedWord(odd.wrapping_add(1));
    page.write_u32(at, clock[VERSION].0)?;
    page.mark_dirty();
    Some(())
}
