// SPDX-License-Identifier: GPL-2.0

//! Tables that nobody can reach yet: owned, and freed with their owner.

#![forbid(unsafe_code)]

use super::{
    context::Context,
    entry::{Entry, Leaf},
    page::Table,
    raw::{Role, ShadowPage, TableMemory}, //
};
use crate::kvm::{
    lock::Mode,
    memory::Vm,
    spte::{self, LeafSpte, Spte},
    types::{Gfn, Level, NxHugePage, ENTRIES}, //
};

impl TableMemory {
    /// Makes it a root of `vm`. Reachable once it is on the list.
    pub(in crate::kvm) fn into_root(self, vm: &Vm, role: Role) -> &ShadowPage {
        self.init(None, Gfn::new(0), role);
        self.publish(vm)
    }
}

/// A table that no entry links yet, made for one certain entry.
struct Unlinked {
    memory: TableMemory,
    gfn: Gfn,
    level: Level,
}

impl Unlinked {
    fn new<M: Mode>(memory: TableMemory, entry: &Entry<'_, M>) -> Self {
        // An entry of level 1 never takes a table: see `was_made_for()`.
        let level = entry.level().below().unwrap_or(Level::PG_4K);
        let role = entry.cx().role().with_level(level);
        memory.init(Some(entry.snapshot().cell), entry.gfn(), role);
        Self {
            memory,
            gfn: entry.gfn(),
            level,
        }
    }

    /// The place alone does not tell: the page that an entry lies in may have been freed since, and
    /// be a table of another kind now.
    #[inline(always)]
    fn was_made_for<M: Mode>(&self, entry: &Entry<'_, M>) -> bool {
        let page = self.memory.page();
        let role = entry.cx().role().with_level(self.level);
        page.is_linked_from(entry.snapshot().cell)
            && entry.level().below() == Some(self.level)
            && entry.gfn() == page.gfn()
            && role.word() == page.role().word()
    }

    #[inline(always)]
    fn link_spte(&self) -> Spte {
        spte::link(self.memory.pa())
    }

    /// The table is reachable now: it is no longer the value's to free.
    ///
    /// The one that unlinks it frees it by RCU, and the context keeps the section open for `'r`.
    #[inline(always)]
    fn linked<'r, M: Mode>(self, cx: &Context<'r, M>) -> Table<'r> {
        let page = self.memory.publish(cx.vm());
        let table = Table::linked(page.cells(), self.gfn, self.level);
        table.account(cx.vm(), 1);
        table
    }
}

/// An empty table, to be [linked](super::Absent::link).
pub struct NewTable(Unlinked);

impl NewTable {
    /// Prepares `memory` for `entry`. `nx` says whether it is there for lack of a huge page.
    pub fn for_entry<M: Mode>(memory: TableMemory, entry: &Entry<'_, M>, nx: NxHugePage) -> Self {
        let new = Unlinked::new(memory, entry);
        let disallowed = nx == NxHugePage::Disallowed;
        new.memory.page().set_nx_disallowed(disallowed);
        Self(new)
    }

    #[inline(always)]
    pub(super) fn was_made_for<M: Mode>(&self, entry: &Entry<'_, M>) -> bool {
        self.0.was_made_for(entry)
    }

    #[inline(always)]
    pub(super) fn link_spte(&self) -> Spte {
        self.0.link_spte()
    }

    #[inline(always)]
    pub(super) fn linked<'r, M: Mode>(self, cx: &Context<'r, M>) -> Table<'r> {
        self.0.linked(cx)
    }
}

/// Memory for a table that will be filled completely before anyone sees it.
pub struct SplitMemory(TableMemory);

impl SplitMemory {
    /// Allocates; may sleep. `None` if there is no memory.
    pub fn alloc() -> Option<Self> {
        TableMemory::alloc_garbage().map(Self)
    }

    /// Fills the table with what stands in `huge`'s place after the split.
    ///
    /// `small` gives the value for each index, of which a leaf of the table's level is made.
    pub fn fill<M: Mode>(
        self,
        huge: &Leaf<'_, M>,
        nx: NxHugePage,
        small: impl Fn(Level, usize) -> Spte,
    ) -> SplitTable {
        let mut table = NewTable::for_entry(self.0, huge, nx).0;
        for index in 0..ENTRIES {
            let leaf = LeafSpte::new(small(table.level, index), table.level);
            table.memory.write(index, leaf.spte());
        }
        SplitTable(table)
    }
}

impl From<TableMemory> for SplitMemory {
    fn from(memory: TableMemory) -> Self {
        Self(memory)
    }
}

/// A table full of leaves, to [take the place](Leaf::split) of a huge page.
pub struct SplitTable(Unlinked);

impl SplitTable {
    #[inline(always)]
    pub(super) fn was_made_for<M: Mode>(&self, entry: &Entry<'_, M>) -> bool {
        self.0.was_made_for(entry)
    }

    #[inline(always)]
    pub(super) fn link_spte(&self) -> Spte {
        self.0.link_spte()
    }

    #[inline(always)]
    pub(super) fn linked<'r, M: Mode>(self, cx: &Context<'r, M>) -> Table<'r> {
        self.0.linked(cx)
    }

    /// Gives the memory back for another try.
    pub fn into_memory(self) -> SplitMemory {
        SplitMemory(self.0.memory)
    }
}
