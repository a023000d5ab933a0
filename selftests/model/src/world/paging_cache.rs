// SPDX-License-Identifier: GPL-2.0

//! A CPU's paging-structure cache: which tables its walks have found, on every level.
//!
//! A walk begins at the lowest table that the cache leads to, whatever links there are in memory by
//! now. The cache forgets nothing but what is flushed. A flush of a range takes out only what was
//! found on the way to that range.

use crate::{
    kvm::{Gfn, GfnRange, Level},
    machine::arena::PageId,
};
use std::collections::BTreeMap;

/// Tables, by the level and the first frame of the entry that linked them.
#[derive(Default)]
pub struct PagingCache(BTreeMap<(Level, Gfn), PageId>);

impl PagingCache {
    /// The lowest table on the way to `gfn` that the CPU knows.
    pub fn lowest(&self, gfn: Gfn) -> Option<PageId> {
        let mut levels = (2..).map_while(Level::new);
        levels.find_map(|level| self.0.get(&(level, gfn.round_down(level))).copied())
    }

    /// The entry of `level` for `gfn` was seen to link `table`.
    pub fn hold(&mut self, level: Level, gfn: Gfn, table: PageId) {
        self.0.insert((level, gfn.round_down(level)), table);
    }

    /// Forgets all, or what leads to `range`.
    pub fn flush(&mut self, range: Option<GfnRange>) {
        match range {
            None => self.0.clear(),
            Some(range) => self
                .0
                .retain(|(level, gfn), _| !overlaps(*gfn, *level, range)),
        }
    }
}

/// Whether the page, or what an entry spans, of `level` at `gfn` has frames of `range`.
pub fn overlaps(gfn: Gfn, level: Level, range: GfnRange) -> bool {
    GfnRange::sized(gfn, level.pages()).overlaps(range)
}
