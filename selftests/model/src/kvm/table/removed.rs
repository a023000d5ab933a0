// SPDX-License-Identifier: GPL-2.0

//! Tables that were cut off. Line by line what the kernel's removed.rs does.

use super::{
    context::Context,
    entry::Change,
    page::{ShadowPage, Table},
};
use crate::kvm::{
    lock::{Locked, MayWrite},
    spte::FROZEN,
    types::{Level, ENTRIES},
};

/// A table that was just cut off from its tree.
#[must_use = "what it still maps must be taken out and accounted"]
pub struct RemovedTable<'r, M: Locked> {
    table: Table<'r>,
    page: &'r ShadowPage,
    cx: Context<'r, M>,
}

/// What was in an entry of a removed table.
pub enum Taken<'r, M: Locked> {
    /// Nothing that was present.
    Absent(Change),
    /// A leaf.
    Leaf(Change),
    /// A link: the next table to be taken apart.
    Table(Change, RemovedTable<'r, M>),
}

impl<'r, M: Locked> RemovedTable<'r, M> {
    pub(super) fn unlinked_by(change: &Change, cx: Context<'r, M>) -> Option<Self> {
        if !change.old.is_table(change.level) {
            return None;
        }
        let table = Table::linked_by(change.old, change.gfn, change.level, &cx);
        Some(Self {
            table,
            page: table.page(),
            cx,
        })
    }

    /// The walk's context.
    pub fn cx(&self) -> Context<'r, M> {
        self.cx
    }

    /// The table's level.
    pub fn level(&self) -> Level {
        self.table.level()
    }

    /// Takes the table apart, and frees it once nobody can be reading it any more.
    pub fn take_apart(self, mut each: impl FnMut(Taken<'r, M>)) {
        self.unaccount();
        for index in 0..ENTRIES {
            if let Some(taken) = self.take(index) {
                each(taken);
            }
        }
        self.page.free_by_rcu(self.cx.vm());
    }

    fn unaccount(&self) {
        self.cx.vm().account_table(-1);
        self.page.untrack_possible_nx_huge_page(self.cx.vm());
    }

    /// Takes out what the entry at `index` holds, for good.
    fn take(&self, index: usize) -> Option<Taken<'r, M>> {
        let level = self.level();
        let old = M::take(MayWrite::transition(), self.table.cell(index), level)?;
        let change = Change {
            old,
            new: FROZEN,
            gfn: self.page.gfn().add(index as u64 * level.pages()),
            level,
        };
        if let Some(table) = RemovedTable::unlinked_by(&change, self.cx) {
            return Some(Taken::Table(change, table));
        }
        Some(if old.is_present() {
            Taken::Leaf(change)
        } else {
            Taken::Absent(change)
        })
    }
}
