// SPDX-License-Identifier: GPL-2.0

//! The primary MMU: which host frames hold the VM's memory, as the host's page tables have it.
//!
//! A frame number is handed out once and never again, so a stale translation is never right by
//! accident, and a frame that was given back is known to be out of bounds. As the kernel does, a host
//! announces each change of a page for the whole of it.

use crate::{
    atomic::plain::{lock, Mutex},
    kvm::types::{Gfn, GfnRange, Level, Pfn, ENTRIES},
};
use std::collections::BTreeMap;

/// A page of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPage {
    /// Its first guest frame.
    pub gfn: Gfn,
    /// Its size.
    pub level: Level,
    /// Its first host frame.
    pub pfn: Pfn,
    /// Whether it may be written.
    pub writable: bool,
}

impl HostPage {
    fn range(&self) -> GfnRange {
        GfnRange::sized(self.gfn, self.level.pages())
    }

    /// The host frame of `gfn`.
    pub fn pfn_of(&self, gfn: Gfn) -> Pfn {
        Pfn::new(self.pfn.raw() + gfn.offset_from(self.gfn))
    }
}

#[derive(Default)]
struct State {
    pages: BTreeMap<Gfn, HostPage>,
    next: u64,
    /// What notifiers have announced.
    announced: Vec<GfnRange>,
}

/// The host's page tables.
#[derive(Default)]
pub struct Primary(Mutex<State>);

impl State {
    fn page(&self, gfn: Gfn) -> Option<HostPage> {
        let (_, page) = self.pages.range(..=gfn).next_back()?;
        page.range().contains(gfn).then_some(*page)
    }

    /// Fails unless a notifier has announced that what `range` holds changes. Where nothing is,
    /// there is nothing to announce.
    fn may_change(&self, range: GfnRange) {
        let none = self.pages.range(range.start..range.end).next().is_none();
        let announced = none || self.announced.iter().any(|whole| whole.covers(range));
        assert!(announced, "the host changes {range:?}, and nobody was told");
    }

    fn allocate(&mut self, level: Level) -> Pfn {
        // Frame 0 is never memory.
        let first = self.next.max(1).next_multiple_of(level.pages());
        self.next = first + level.pages();
        Pfn::new(first)
    }

    fn insert(&mut self, gfn: Gfn, level: Level) {
        let pfn = self.allocate(level);
        let page = HostPage {
            gfn,
            level,
            pfn,
            writable: true,
        };
        self.pages.insert(gfn, page);
    }
}

impl Primary {
    /// The page that holds `gfn`.
    pub fn page(&self, gfn: Gfn) -> Option<HostPage> {
        lock(&self.0).page(gfn)
    }

    /// The size of the page that holds `gfn`.
    pub fn level(&self, gfn: Gfn) -> Option<Level> {
        self.page(gfn).map(|page| page.level)
    }

    /// The page of `gfn` gets other memory, in pages of `level`.
    pub fn populate(&self, gfn: Gfn, level: Level) {
        let mut state = lock(&self.0);
        let whole = state.page(gfn).map_or(level, |page| page.level.max(level));
        let start = gfn.round_down(whole);
        let end = start.add(whole.pages());
        state.may_change(GfnRange::new(start, end));
        let old: Vec<_> = state.pages.range(start..end).map(|(gfn, _)| *gfn).collect();
        for gfn in old {
            state.pages.remove(&gfn);
        }
        let mut next = start;
        while next < end {
            state.insert(next, level);
            next = next.add(level.pages());
        }
    }

    /// The page of `gfn` gets other memory, if it is a small one.
    pub fn move_small(&self, gfn: Gfn) {
        let mut state = lock(&self.0);
        if state
            .page(gfn)
            .is_some_and(|page| page.level == Level::PG_4K)
        {
            state.may_change(GfnRange::one(gfn));
            state.insert(gfn, Level::PG_4K);
        }
    }

    /// The page of `gfn` is cut into pages of the level below, which stay where they are.
    pub fn split(&self, gfn: Gfn) {
        let mut state = lock(&self.0);
        let Some(page) = state.page(gfn) else { return };
        let Some(level) = page.level.below() else {
            return;
        };
        state.may_change(page.range());
        for index in 0..ENTRIES as u64 {
            let gfn = page.gfn.add(index * level.pages());
            let small = HostPage {
                gfn,
                level,
                pfn: page.pfn_of(gfn),
                ..page
            };
            state.pages.insert(gfn, small);
        }
    }

    /// The page of `gfn` may be written from now on, or not.
    pub fn set_writable(&self, gfn: Gfn, writable: bool) {
        let mut state = lock(&self.0);
        if let Some(page) = state.page(gfn) {
            state.may_change(page.range());
            state.pages.insert(page.gfn, HostPage { writable, ..page });
        }
    }

    /// All pages are freed, and nobody is told. Returns which there were.
    pub fn free_all(&self) -> Vec<HostPage> {
        std::mem::take(&mut lock(&self.0).pages)
            .into_values()
            .collect()
    }

    /// Whether `pfn` holds `gfn`.
    pub fn holds(&self, gfn: Gfn, pfn: Pfn) -> bool {
        self.page(gfn).is_some_and(|page| page.pfn_of(gfn) == pfn)
    }

    /// Notifiers have announced a change of `range`.
    pub(super) fn notify(&self, range: GfnRange) {
        lock(&self.0).announced.push(range);
    }

    /// It is over.
    pub(super) fn forget(&self, range: GfnRange) {
        let mut state = lock(&self.0);
        let at = state.announced.iter().position(|other| *other == range);
        state.announced.swap_remove(at.expect("it was announced"));
    }
}
