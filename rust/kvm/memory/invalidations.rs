// SPDX-License-Identifier: GPL-2.0

//! The record of invalidations: which frames the host is taking away, and which it has just taken.
//!
//! C keeps one range for all invalidations of a VM that are going on, from the lowest frame to the
//! highest, until the last of them ends, and one number of those that have ended. So an invalidation
//! anywhere concerns everybody. The record keeps each by itself:
//!
//! - those that are going on. They are also what the two halves of a notifier meet by: the end takes
//!   away what the start has put there. Both name the same range of host addresses;
//! - the last that have ended, by the number that C's count had then.
//!
//! There is room for a few. What has no place counts as everything, and so does an end that is not in
//! the record, because it was C's or is long past: the record errs towards "stale", never the other
//! way. Numbers may wrap.
//!
//! Writers hold `mmu_lock` for write. Who holds it for read sees no change. Without it an answer is no
//! more than a hint: an entry is more than one word.
//!
//! The model compiles this file as it is.

#![forbid(unsafe_code)]

use crate::{
    kvm::types::GfnRange,
    mm::HostRange,
    sync::{Atomic, Relaxed}, //
};
use core::array;

/// How many invalidations that are going on have a place.
const ACTIVE: usize = 8;
/// How many that have ended have one. A power of two, so that numbers may wrap.
const ENDED: usize = 32;

/// Words of the record.
type Word = Atomic<u64>;

/// The start of a range, and its end.
struct Pair([Word; 2]);

impl Pair {
    fn new(range: [u64; 2]) -> Self {
        Self(range.map(Word::new))
    }

    #[inline(always)]
    fn load(&self) -> [u64; 2] {
        let [start, end] = &self.0;
        [start.load(Relaxed), end.load(Relaxed)]
    }

    #[inline(always)]
    fn store(&self, range: [u64; 2]) {
        for (word, value) in self.0.iter().zip(range) {
            word.store(value, Relaxed);
        }
    }
}

/// A place for an invalidation that is going on.
///
/// # Invariants
///
/// It is free if the host range is [`FREE`].
struct Active {
    host: Pair,
    frames: Pair,
}

/// The host range of a place that is free. That of an invalidation is not empty.
const FREE: [u64; 2] = [0, 0];

impl Active {
    fn free() -> Self {
        Self {
            host: Pair::new(FREE),
            frames: Pair::new(GfnRange::ALL.raw()),
        }
    }

    #[inline(always)]
    fn is_free(&self) -> bool {
        self.host.load() == FREE
    }

    #[inline(always)]
    fn overlaps(&self, range: GfnRange) -> bool {
        !self.is_free() && GfnRange::from_raw(self.frames.load()).overlaps(range)
    }
}

/// The end of an invalidation: its number, and the frames.
struct Ended {
    seq: Word,
    frames: Pair,
}

fn raw(host: HostRange) -> [u64; 2] {
    [host.start as u64, host.end as u64]
}

/// What the end of an invalidation finds of its start.
#[derive(Clone, Copy, PartialEq)]
pub enum Start {
    /// It had nothing to do, as no slot lies there.
    Elided,
    /// It is in the record.
    Recorded,
    /// It is not, though a slot lies there.
    Missing,
}

/// The record of one VM. Has cache lines of its own: what is beside it is read by every fault.
#[repr(align(64))]
pub struct Invalidations {
    active: [Active; ACTIVE],
    /// How many are going on that have no place.
    unlisted: Word,
    ended: [Ended; ENDED],
}

impl Invalidations {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        Self {
            active: array::from_fn(|_| Active::free()),
            unlisted: Word::new(0),
            ended: array::from_fn(|_| Ended {
                seq: Word::new(0),
                frames: Pair::new(GfnRange::ALL.raw()),
            }),
        }
    }

    /// An invalidation of `host` begins, which shows at `frames`. An empty range gets no place.
    pub fn begin(&self, host: HostRange, frames: GfnRange) {
        match self.active.iter().find(|place| place.is_free()) {
            Some(place) if !host.is_empty() => {
                place.frames.store(frames.raw());
                place.host.store(raw(host));
            }
            _ => self
                .unlisted
                .store(self.unlisted.load(Relaxed) + 1, Relaxed),
        }
    }

    /// Takes away one of `host` that is about to end, and says which frames it shows at. It is one
    /// without a place if none with a place has that range: only for who has begun one. `None` if
    /// there is none that it could be.
    #[must_use]
    pub fn take(&self, host: HostRange) -> Option<GfnRange> {
        let mine = |place: &&Active| !host.is_empty() && place.host.load() == raw(host);
        if let Some(place) = self.active.iter().find(mine) {
            place.host.store(FREE);
            return Some(GfnRange::from_raw(place.frames.load()));
        }
        let others = self.unlisted.load(Relaxed).checked_sub(1)?;
        self.unlisted.store(others, Relaxed);
        Some(GfnRange::ALL)
    }

    /// One that was taken away has ended, which made C's count `seq`.
    pub fn note_end(&self, seq: u64, frames: GfnRange) {
        let place = self.place_of(seq);
        place.seq.store(seq, Relaxed);
        place.frames.store(frames.raw());
    }

    /// How many are going on.
    #[inline]
    pub fn count(&self) -> u64 {
        let listed = self.active.iter().filter(|place| !place.is_free());
        listed.count() as u64 + self.unlisted.load(Relaxed)
    }

    /// Whether one that is going on may concern a frame of `range`.
    #[inline]
    pub fn is_active(&self, range: GfnRange) -> bool {
        self.unlisted.load(Relaxed) != 0 || self.active.iter().any(|place| place.overlaps(range))
    }

    /// Whether one that ended after C's count was `snapshot`, and before it became more than `now`,
    /// may concern a frame of `range`.
    #[inline]
    pub fn has_ended(&self, snapshot: u64, now: u64, range: GfnRange) -> bool {
        let missed = now.wrapping_sub(snapshot);
        let concerns = |seq: u64| {
            let place = self.place_of(seq);
            place.seq.load(Relaxed) != seq
                || GfnRange::from_raw(place.frames.load()).overlaps(range)
        };
        missed > ENDED as u64 || (0..missed).any(|back| concerns(now.wrapping_sub(back)))
    }

    #[inline(always)]
    fn place_of(&self, seq: u64) -> &Ended {
        &self.ended[seq as usize % ENDED]
    }
}

impl Default for Invalidations {
    fn default() -> Self {
        Self::new()
    }
}
