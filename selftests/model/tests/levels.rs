// SPDX-License-Identifier: GPL-2.0

//! Levels of page tables, and the entries of a frame in them.

use kvmrs_model::kvm::{Gfn, Level};
use std::iter::successors;

/// More than there are.
const MANY: usize = 9;

fn upwards() -> Vec<Level> {
    successors(Some(Level::PG_4K), |level| level.above())
        .take(MANY)
        .collect()
}

#[test]
fn there_is_nothing_below_the_lowest_level_nor_above_the_highest() {
    let all: Vec<_> = (1..=5)
        .map(|raw| Level::new(raw).expect("a level"))
        .collect();
    assert_eq!(upwards(), all);
    let mut downwards: Vec<_> = successors(Some(Level::MAX), |level| level.below())
        .take(MANY)
        .collect();
    downwards.reverse();
    assert_eq!(downwards, all);
}

/// Whether its first frame is known or not.
#[test]
fn a_frame_has_the_same_entry_in_the_table_that_spans_it() {
    for level in upwards() {
        for raw in [0, 1, 511, 512, 0x12345, 0x7654_3210, (1 << 40) - 1] {
            let gfn = Gfn::new(raw);
            let base = level
                .above()
                .map_or(Gfn::new(0), |above| gfn.round_down(above));
            let index = gfn.index_from(base, level);
            assert_eq!(gfn.index_at(level), index, "{gfn:?} in {level:?}");
        }
    }
}
