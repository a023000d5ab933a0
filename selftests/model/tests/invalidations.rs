// SPDX-License-Identifier: GPL-2.0

//! The record of invalidations, against books that forget nothing.

mod common;

use kvmrs_model::{
    kvm::{memory::Invalidations, Gfn, GfnRange, MemSlot},
    mm::HostRange,
};
use proptest::prelude::*;

/// Where counts start: where they no longer fit in an int, in 32 bits, in 64 bits.
const STARTS: [u64; 4] = [0, (1 << 31) - 2, (1 << 32) - 2, u64::MAX - 2];
/// How many invalidations that are going on the record has places for.
const PLACES: u64 = 8;
/// How many ends it remembers.
const MEMORY: u64 = 32;

fn frames(start: u64, count: u64) -> GfnRange {
    GfnRange::sized(Gfn::new(start), count)
}

fn host(start: u64, count: u64) -> HostRange {
    MemSlot::host_range_of(frames(start, count))
}

/// Begins and ends an invalidation of one frame.
fn invalidate(record: &Invalidations, seq: u64, frame: u64) {
    record.begin(host(frame, 1), frames(frame, 1));
    let taken = record.take(host(frame, 1)).expect("it has begun");
    record.note_end(seq, taken);
}

#[test]
fn only_what_overlaps_is_active() {
    let record = Invalidations::new();
    record.begin(host(4, 4), frames(4, 4));
    assert!(record.is_active(frames(7, 1)) && record.is_active(frames(0, 512)));
    assert!(!record.is_active(frames(0, 4)) && !record.is_active(frames(8, 4)));
    assert_eq!(record.take(host(4, 4)), Some(frames(4, 4)));
    assert!(!record.is_active(GfnRange::ALL));
}

#[test]
fn an_end_needs_its_own_start() {
    let record = Invalidations::new();
    assert_eq!(record.take(host(0, 1)), None);
    record.begin(host(0, 2), frames(0, 2));
    assert_eq!(record.take(host(0, 1)), None);
    assert_eq!(record.take(host(0, 2)), Some(frames(0, 2)));
    assert_eq!(record.take(host(0, 2)), None);
}

/// A free place is no invalidation of nothing, and nothing gets no place.
#[test]
fn an_empty_range_names_no_place() {
    let record = Invalidations::new();
    let nothing = HostRange::new(0, 0);
    assert_eq!(record.take(nothing), None);
    record.begin(host(0, 1), frames(0, 1));
    assert_eq!(record.take(nothing), None);
    record.begin(nothing, frames(0, 1));
    assert_eq!(record.count(), 2);
    assert_eq!(record.take(nothing), Some(GfnRange::ALL));
    assert_eq!(record.take(host(0, 1)), Some(frames(0, 1)));
}

#[test]
fn twins_end_one_by_one() {
    let record = Invalidations::new();
    record.begin(host(3, 1), frames(3, 1));
    record.begin(host(3, 1), frames(3, 1));
    assert!(record.take(host(3, 1)).is_some() && record.is_active(frames(3, 1)));
    assert!(record.take(host(3, 1)).is_some() && !record.is_active(frames(3, 1)));
}

/// With more than there are places for, everything counts as being taken away, until the last of those
/// without a place ends.
#[test]
fn without_a_place_it_is_everywhere() {
    let record = Invalidations::new();
    for frame in 0..PLACES + 2 {
        assert!(!record.is_active(frames(1000, 1)), "{frame} have places");
        if frame < PLACES {
            record.begin(host(frame, 1), frames(frame, 1));
        }
    }
    record.begin(host(100, 1), frames(100, 1));
    record.begin(host(101, 1), frames(101, 1));
    assert_eq!(record.count(), PLACES + 2);
    assert!(record.is_active(frames(1000, 1)));
    assert_eq!(record.take(host(100, 1)), Some(GfnRange::ALL));
    assert!(record.is_active(frames(1000, 1)));
    for frame in 0..PLACES {
        assert_eq!(record.take(host(frame, 1)), Some(frames(frame, 1)));
    }
    assert!(record.is_active(frames(1000, 1)), "one is left");
    assert_eq!(record.take(host(101, 1)), Some(GfnRange::ALL));
    assert!(!record.is_active(GfnRange::ALL));
    assert_eq!(record.take(host(101, 1)), None);
}

#[test]
fn what_ended_elsewhere_does_not_matter() {
    for start in STARTS {
        let record = Invalidations::new();
        let mut seq = start;
        for frame in 0..MEMORY {
            seq = seq.wrapping_add(1);
            invalidate(&record, seq, frame);
            assert!(!record.has_ended(start, seq, frames(1000, 1)));
            assert!(record.has_ended(start, seq, frames(frame, 1)));
            assert!(!record.has_ended(seq, seq, GfnRange::ALL), "none since");
        }
        seq = seq.wrapping_add(1);
        invalidate(&record, seq, 40);
        let forgotten = record.has_ended(start, seq, frames(1000, 1));
        assert!(forgotten, "from {start:#x}: there may have been anything");
    }
}

/// C ends invalidations of its own, and the record does not hear of them.
#[test]
fn an_end_of_others_may_be_anywhere() {
    for start in STARTS {
        let record = Invalidations::new();
        let (first, others, second) = (
            start.wrapping_add(1),
            start.wrapping_add(2),
            start.wrapping_add(3),
        );
        invalidate(&record, first, 0);
        invalidate(&record, second, 1);
        assert!(record.has_ended(start, second, frames(1000, 1)));
        assert!(record.has_ended(first, second, frames(1000, 1)));
        assert!(!record.has_ended(others, second, frames(1000, 1)));
    }
}

/// One step of a history: which frames, and what happens to them.
#[derive(Clone, Copy, Debug)]
enum Step {
    Begin(u64, u64),
    /// One of those that are going on, by its place in the books.
    End(usize),
    /// One of C's own, anywhere.
    Other,
    Look(u64, u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let range = || (0..64u64, 1..16u64);
    let step = prop_oneof![
        4 => range().prop_map(|(start, count)| Step::Begin(start, count)),
        4 => any::<usize>().prop_map(Step::End),
        1 => Just(Step::Other),
        4 => range().prop_map(|(start, count)| Step::Look(start, count)),
    ];
    proptest::collection::vec(step, 1..200)
}

/// Everything that happened.
#[derive(Default)]
struct Books {
    active: Vec<(u64, u64)>,
    ended: Vec<(u64, GfnRange)>,
    seq: u64,
    /// There were more at once than there are places for.
    full: bool,
}

impl Books {
    fn end(&mut self, frames: GfnRange) {
        self.seq = self.seq.wrapping_add(1);
        self.ended.push((self.seq, frames));
    }

    /// Whether the answers of the record for `look` are at least as careful as the books say, and not more
    /// while there are places.
    fn check(&self, record: &Invalidations, look: GfnRange) {
        let mut active = self.active.iter();
        let goes = active.any(|(start, count)| frames(*start, *count).overlaps(look));
        let answer = record.is_active(look);
        assert!(answer || !goes, "{look:?} is being taken away");
        assert!(self.full || answer == goes, "{look:?} is not");
        for back in 0..self.ended.len() {
            let since = &self.ended[self.ended.len() - 1 - back..];
            let snapshot = self.seq.wrapping_sub(back as u64 + 1);
            let went = since.iter().any(|(_, frames)| frames.overlaps(look));
            let answer = record.has_ended(snapshot, self.seq, look);
            assert!(
                answer || !went,
                "{look:?} was taken away since {snapshot:#x}"
            );
            let known = !self.full && since.len() as u64 <= MEMORY;
            assert!(
                !known || answer == went,
                "{look:?} was not, since {snapshot:#x}"
            );
        }
    }
}

proptest! {
    #![proptest_config(common::config(256, "tests/regressions/invalidations.txt"))]

    /// The record errs towards "stale" only, and while there are places for all it does not err.
    #[test]
    fn never_says_current_of_what_is_stale(start in prop::sample::select(&STARTS), steps in steps()) {
        let record = Invalidations::new();
        let mut books = Books { seq: start, ..Books::default() };
        for step in steps {
            match step {
                Step::Begin(start, count) => {
                    books.full |= books.active.len() as u64 >= PLACES;
                    record.begin(host(start, count), frames(start, count));
                    books.active.push((start, count));
                }
                Step::End(_) if books.active.is_empty() => {}
                Step::End(index) => {
                    let (start, count) = books.active.swap_remove(index % books.active.len());
                    let taken = record.take(host(start, count));
                    prop_assert!(taken == Some(frames(start, count)) || taken == Some(GfnRange::ALL));
                    books.end(frames(start, count));
                    record.note_end(books.seq, taken.unwrap_or(GfnRange::ALL));
                }
                Step::Other => books.end(GfnRange::ALL),
                Step::Look(start, count) => books.check(&record, frames(start, count)),
            }
            prop_assert_eq!(record.count(), books.active.len() as u64);
            if books.active.is_empty() {
                prop_assert!(!record.is_active(GfnRange::ALL));
            }
        }
    }
}
