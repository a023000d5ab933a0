// SPDX-License-Identifier: GPL-2.0

//! The record of invalidations, against books that forget nothing.

mod common;

use kvmrs_model::{
    kvm::{memory::Invalidations, Gfn, GfnRange, MemSlot},
    mm::HostRange,
};
use proptest::prelude::*;

/// How many invalidations that are going on the record has places for.
const PLACES: u64 = 8;

fn frames(start: u64, count: u64) -> GfnRange {
    GfnRange::sized(Gfn::new(start), count)
}

fn host(start: u64, count: u64) -> HostRange {
    MemSlot::host_range_of(frames(start, count))
}

#[test]
fn only_what_overlaps_is_active() {
    let record = Invalidations::new();
    record.begin(host(4, 4), frames(4, 4));
    assert!(record.is_active(frames(7, 1)) && record.is_active(frames(0, 512)));
    assert!(!record.is_active(frames(0, 4)) && !record.is_active(frames(8, 4)));
    assert!(record.take(host(4, 4)));
    assert!(!record.is_active(GfnRange::ALL));
}

#[test]
fn an_end_needs_its_own_start() {
    let record = Invalidations::new();
    assert!(!record.take(host(0, 1)));
    record.begin(host(0, 2), frames(0, 2));
    assert!(!record.take(host(0, 1)));
    assert!(record.take(host(0, 2)));
    assert!(!record.take(host(0, 2)));
}

/// A free place is no invalidation of nothing, and nothing gets no place.
#[test]
fn an_empty_range_names_no_place() {
    let record = Invalidations::new();
    let nothing = HostRange::new(0, 0);
    assert!(!record.take(nothing));
    record.begin(host(0, 1), frames(0, 1));
    assert!(!record.take(nothing));
    record.begin(nothing, frames(0, 1));
    assert_eq!(record.count(), 2);
    assert!(record.take(nothing));
    assert!(record.take(host(0, 1)));
}

#[test]
fn twins_end_one_by_one() {
    let record = Invalidations::new();
    record.begin(host(3, 1), frames(3, 1));
    record.begin(host(3, 1), frames(3, 1));
    assert!(record.take(host(3, 1)) && record.is_active(frames(3, 1)));
    assert!(record.take(host(3, 1)) && !record.is_active(frames(3, 1)));
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
    assert!(record.take(host(100, 1)));
    assert!(record.is_active(frames(1000, 1)));
    for frame in 0..PLACES {
        assert!(record.take(host(frame, 1)));
    }
    assert!(record.is_active(frames(1000, 1)), "one is left");
    assert!(record.take(host(101, 1)));
    assert!(!record.is_active(GfnRange::ALL));
    assert!(!record.take(host(101, 1)));
}

/// One step of a history: which frames, and what happens to them.
#[derive(Clone, Copy, Debug)]
enum Step {
    Begin(u64, u64),
    /// One of those that are going on, by its place in the books.
    End(usize),
    Look(u64, u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let range = || (0..64u64, 1..16u64);
    let step = prop_oneof![
        4 => range().prop_map(|(start, count)| Step::Begin(start, count)),
        4 => any::<usize>().prop_map(Step::End),
        4 => range().prop_map(|(start, count)| Step::Look(start, count)),
    ];
    proptest::collection::vec(step, 1..200)
}

proptest! {
    #![proptest_config(common::config(256, "tests/regressions/invalidations.txt"))]

    /// Where something is being taken away, the record says so.
    #[test]
    fn never_says_current_of_what_goes(steps in steps()) {
        let record = Invalidations::new();
        let mut active = Vec::new();
        for step in steps {
            match step {
                Step::Begin(start, count) => {
                    record.begin(host(start, count), frames(start, count));
                    active.push((start, count));
                }
                Step::End(_) if active.is_empty() => {}
                Step::End(index) => {
                    let (start, count) = active.swap_remove(index % active.len());
                    prop_assert!(record.take(host(start, count)), "it has begun");
                }
                Step::Look(start, count) => {
                    let look = frames(start, count);
                    let goes = active.iter().any(|(start, count)| frames(*start, *count).overlaps(look));
                    prop_assert!(!goes || record.is_active(look), "{:?} is being taken away", look);
                }
            }
            prop_assert_eq!(record.count(), active.len() as u64);
            if active.is_empty() {
                prop_assert!(!record.is_active(GfnRange::ALL));
            }
        }
    }
}
