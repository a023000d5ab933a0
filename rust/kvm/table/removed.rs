// SPDX-License-Identifier: GPL-2.0

//! Tables that were cut off: owned again, and on their way to RCU.

#![forbid(unsafe_code)]

use super::{
    context::Context,
    entry::Change,
    page::Table,
    raw::{report, ShadowPage}, //
};
use crate::kvm::{
    lock::{Locked, MayWrite},
    spte::FROZEN,
    types::{Level, ENTRIES}, //
};

/// A table that was just cut off from its tree.
///
/// # Invariants
///
/// No live entry links the table, and the value is the only one for it.
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
    /// The table that `change`, which has just been made, took the link of, if it did.
    #[inline]
    pub(super) fn unlinked_by(change: &Change, cx: Context<'r, M>) -> Option<Self> {
        if !change.old.is_table(change.level) {
            return None;
        }
        let table = Table::linked_by(change.old, change.gfn, change.level, &cx);
        let page = table.page();
        // Whatever becomes of the value: who looks at that list relies on it.
        page.untrack_possible_nx_huge_page(cx.vm());
        // INVARIANT: Each table is linked by one entry, and that link is gone.
        Some(Self { table, page, cx })
    }

    /// The walk's context.
    #[inline(always)]
    pub fn cx(&self) -> Context<'r, M> {
        self.cx
    }

    /// The table's level.
    #[inline(always)]
    pub fn level(&self) -> Level {
        self.table.level()
    }

    /// Takes the table apart: tells tracepoints, accounting and NX tracking that it is gone, hands
    /// `each` what the entries held, and frees the table once nobody can be reading it any more.
    ///
    /// There is no other way to free it, so no entry stays behind in it.
    #[inline]
    pub fn take_apart(self, mut each: impl FnMut(Taken<'r, M>)) {
        self.unaccount();
        for index in 0..ENTRIES {
            if let Some(taken) = self.take(index) {
                each(taken);
            }
        }
        // By the type's invariant nobody can find the table but readers that already have, and this
        // consumes the only value for it.
        self.page.free_by_rcu(self.cx.vm());
    }

    fn unaccount(&self) {
        report::page_zapped(self.page);
        self.table.account(self.cx.vm(), -1);
    }

    /// Takes out what the entry at `index` holds, for good: it is [`FROZEN`] from then on.
    #[inline(always)]
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
