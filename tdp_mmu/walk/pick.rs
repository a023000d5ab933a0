// SPDX-License-Identifier: GPL-2.0

//! The walk of a visitor that picks frames: it asks which is the next, and goes there.
//!
//! It looks whether it should give way at each large entry that it comes to, and once for a few small pages.

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
        Mode, //
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
        let mut next = self.range.start.max(table.gfn());
        loop {
            let Wanted { first, .. } = self.wanted_from(next);
            let Some(cell) = table.cell_for(first).filter(|_| first < self.range.end) else {
                return Ok(());
            };
            self.give_way_at(first)?;
            let gfn = first.round_down(level);
            next = gfn.add(level.pages());
            self.walk_entry(table, level, cell, gfn)?;
        }
    }

    /// Visits the leaves of wanted frames, in the range of a table of 4K leaves.
    #[inline(always)]
    pub(super) fn pick_from_4k_table(&mut self, table: Table<'r>) -> Result<(), Halt> {
        let base = table.gfn();
        let end = base.add(ENTRIES as u64).min(self.range.end);
        let mut next = self.range.start.max(base);
        loop {
            let Wanted { first, mut mask } = self.wanted_from(next);
            if first >= end {
                return Ok(());
            }
            self.give_way_at(first)?;
            let together = end.offset_from(first).min(TOGETHER);
            mask &= (1 << together) - 1;
            next = first.add(u64::from(u64::BITS - mask.leading_zeros()));
            let index = first.offset_from(base) as usize;
            while mask != 0 {
                let entry = Entry::at(self.cx, table, index + mask.trailing_zeros() as usize);
                mask &= mask - 1;
                let spte = entry.spte();
                if spte.is_present() && self.visitor.wants(spte, Level::PG_4K) {
                    self.visit_entry(&table, entry)?;
                }
            }
        }
    }
}
