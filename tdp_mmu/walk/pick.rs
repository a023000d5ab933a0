// SPDX-License-Identifier: GPL-2.0

//! The walk of a visitor that picks frames: it asks which is the next, and goes there.
//!
//! It looks whether it should give way at each large entry that it comes to, once for a few small pages, and wherever the
//! visitor has passed many frames and wants none of them.

use super::{
    Halt,
    Pass, //
};
use crate::{
    kvm::{
        table::Table,
        types::ENTRIES,
        Entry,
        Gfn,
        Level,
        Mode,
        State, //
    },
    tdp_mmu::visitor::{
        Visitor,
        Wanted, //
    },
};

/// How many small pages that are picked are visited without a look whether somebody waits.
const TOGETHER: u64 = 16;

impl<'r, M: Mode, V: Visitor<M>> Pass<'_, '_, 'r, M, V> {
    /// What the visitor wants next from `gfn` on. At the end of a table, that is asked again for those above.
    #[inline(always)]
    fn wanted_from(&mut self, gfn: Gfn) -> Wanted {
        if self.wanted.first < gfn {
            self.wanted = self.visitor.next_wanted(gfn);
        }
        self.wanted
    }

    /// Visits the entries that span wanted frames, in the range of a table of `level`.
    #[inline(always)]
    pub(super) fn pick_from_table(&mut self, table: Table<'r>, level: Level) -> Result<(), Halt> {
        let base = table.gfn();
        let end = base.add(level.table_pages()).min(self.range.end);
        let mut next = self.range.start.max(base);
        loop {
            let Wanted { first, mask } = self.wanted_from(next);
            if first >= end {
                return Ok(());
            }
            self.give_way_at(first)?;
            if mask == 0 {
                self.wanted = self.visitor.next_wanted(first);
                next = first;
                continue;
            }
            next = first.round_down(level).add(level.pages());
            self.pick_entry(table, level, first.index_from(base, level))?;
        }
    }

    /// Visits an entry of a table of `level`, and what is wanted below it. The walk has just looked whether it should
    /// give way.
    #[inline(always)]
    fn pick_entry(&mut self, table: Table<'r>, level: Level, index: usize) -> Result<(), Halt> {
        let mut entry = Entry::at(self.cx, table, index);
        if entry.spte().is_present() && self.visitor.wants(entry.spte(), level) {
            self.visit_entry(&table, entry)?;
            entry = Entry::at(self.cx, table, index);
        }
        if level <= self.min_level {
            return Ok(());
        }
        match entry.state() {
            State::Link(link) if level == Level::PG_2M => self.pick_from_4k_table(link.table()),
            State::Link(link) => self.walk_table(link.table()),
            _ => Ok(()),
        }
    }

    /// Visits the leaves of wanted frames, in the range of a table of 4K leaves. The walk has just looked whether it
    /// should give way, or just begun.
    #[inline(always)]
    pub(super) fn pick_from_4k_table(&mut self, table: Table<'r>) -> Result<(), Halt> {
        let base = table.gfn();
        let end = base.add(ENTRIES as u64).min(self.range.end);
        let mut wanted = self.wanted_from(self.range.start.max(base));
        while wanted.first < end {
            wanted = if wanted.mask == 0 {
                self.wanted = self.visitor.next_wanted(wanted.first);
                self.wanted
            } else {
                let next = self.pick_together(table, wanted, end)?;
                self.wanted_from(next)
            };
            if wanted.first < end {
                self.give_way_at(wanted.first)?;
            }
        }
        Ok(())
    }

    /// Visits some leaves of wanted frames in front of `end`. Returns the frame behind the last of them.
    #[inline(always)]
    fn pick_together(&mut self, table: Table<'r>, wanted: Wanted, end: Gfn) -> Result<Gfn, Halt> {
        let Wanted { first, mut mask } = wanted;
        mask &= (1 << TOGETHER) - 1;
        let left = end.offset_from(first);
        if left < TOGETHER {
            mask &= (1 << left) - 1;
        }
        // The compiler is told that the first is among them.
        mask |= 1;
        let next = first.add(u64::from(u64::BITS - mask.leading_zeros()));
        let index = first.offset_from(table.gfn()) as usize;
        while mask != 0 {
            let entry = Entry::at(self.cx, table, index + mask.trailing_zeros() as usize);
            mask &= mask - 1;
            let spte = entry.spte();
            if spte.is_present() && self.visitor.wants(spte, Level::PG_4K) {
                self.visit_entry(&table, entry)?;
            }
        }
        Ok(next)
    }
}
