// SPDX-License-Identifier: GPL-2.0

//! The primary MMU: which host frames hold the VM's memory, as the host's page tables have it.
//!
//! A frame number is handed out once and never again, so a stale translation is never right by
//! accident, and a frame that was given back is known to be out of bounds.

use crate::{
    atomic::{
        plain::{lock, Mutex},
        AtomicU64,
        Ordering::SeqCst,
    },
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
}

/// The host's page tables, and its count of their changes.
#[derive(Default)]
pub struct Primary {
    state: Mutex<State>,
    sequence: AtomicU64,
    in_progress: AtomicU64,
}

impl State {
    fn page(&self, gfn: Gfn) -> Option<HostPage> {
        let (_, page) = self.pages.range(..=gfn).next_back()?;
        page.range().contains(gfn).then_some(*page)
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
        lock(&self.state).page(gfn)
    }

    /// The size of the page that holds `gfn`.
    pub fn level(&self, gfn: Gfn) -> Option<Level> {
        self.page(gfn).map(|page| page.level)
    }

    /// The page of `gfn` gets other memory, in pages of `level`. All of what it covers must have
    /// been invalidated.
    pub fn populate(&self, gfn: Gfn, level: Level) {
        let mut state = lock(&self.state);
        let whole = state.page(gfn).map_or(level, |page| page.level.max(level));
        let start = gfn.round_down(whole);
        let end = start.add(whole.pages());
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

    /// The page of `gfn` is cut into pages of the level below, which stay where they are.
    pub fn split(&self, gfn: Gfn) {
        let mut state = lock(&self.state);
        let Some(page) = state.page(gfn) else { return };
        let Some(level) = page.level.below() else {
            return;
        };
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
        let mut state = lock(&self.state);
        if let Some(page) = state.page(gfn) {
            state.pages.insert(page.gfn, HostPage { writable, ..page });
        }
    }

    /// Whether `pfn` holds `gfn`.
    pub fn holds(&self, gfn: Gfn, pfn: Pfn) -> bool {
        self.page(gfn).is_some_and(|page| page.pfn_of(gfn) == pfn)
    }

    /// Snapshot to be [rechecked](Self::is_current) under `mmu_lock`.
    pub fn snapshot(&self) -> u64 {
        self.sequence.load(SeqCst)
    }

    /// Whether no change is going on or ended since `snapshot`.
    pub fn is_current(&self, snapshot: u64) -> bool {
        self.in_progress.load(SeqCst) == 0 && self.sequence.load(SeqCst) == snapshot
    }

    /// Whether a change is going on. Under `mmu_lock`.
    pub fn is_changing(&self) -> bool {
        self.in_progress.load(SeqCst) != 0
    }

    /// A change begins. Under `mmu_lock` held for write.
    pub fn begin(&self) {
        self.in_progress.fetch_add(1, SeqCst);
    }

    /// A change ends. Under `mmu_lock` held for write.
    pub fn end(&self) {
        self.sequence.fetch_add(1, SeqCst);
        self.in_progress.fetch_sub(1, SeqCst);
    }
}
