// SPDX-License-Identifier: GPL-2.0

//! Tables that nobody can reach yet. Line by line what the kernel's new.rs does.

use super::{
    context::Context,
    entry::{Entry, Leaf},
    page::{ShadowPage, Table},
    role::Role,
};
use crate::{
    atomic::Arc,
    kvm::{
        lock::Mode,
        spte::{self, LeafSpte, Spte},
        types::{Gfn, Level, NxHugePage},
    },
    lockdep,
    machine::{arena::PageId, Machine},
};

/// Memory for a table.
pub struct TableMemory {
    machine: Arc<Machine>,
    id: PageId,
    owned: bool,
}

impl TableMemory {
    pub(in crate::kvm) fn alloc(machine: Arc<Machine>) -> Self {
        let id = machine.arena.allocate();
        Self {
            machine,
            id,
            owned: true,
        }
    }

    fn page(&self) -> &ShadowPage {
        self.machine.arena.page(self.id)
    }

    fn init(&self, parent: (PageId, usize), gfn: Gfn, role: Role) {
        self.page().init(parent, gfn, role);
    }

    /// It is reachable from now on.
    fn give_up(mut self) -> PageId {
        self.owned = false;
        self.id
    }

    pub(in crate::kvm) fn into_root(self, role: Role) -> PageId {
        self.init((PageId::NONE, 0), Gfn::new(0), role);
        self.give_up()
    }
}

impl Drop for TableMemory {
    fn drop(&mut self) {
        if self.owned {
            self.machine.arena.free(self.id);
        }
    }
}

/// A table that no entry links yet, made for one certain entry.
struct Unlinked {
    memory: TableMemory,
    place: usize,
    gfn: Gfn,
    level: Level,
}

impl Unlinked {
    fn new<M: Mode>(memory: TableMemory, entry: &Entry<'_, M>) -> Self {
        let level = entry.level().below().unwrap_or(Level::PG_4K);
        let place = entry.snapshot().cell.address();
        let parent = memory.machine.arena.page_around(place);
        let index = entry.gfn().index_from(parent.gfn(), entry.level());
        memory.init(
            (parent.id(), index),
            entry.gfn(),
            entry.cx().role().with_level(level),
        );
        Self {
            memory,
            place,
            gfn: entry.gfn(),
            level,
        }
    }

    fn was_made_for<M: Mode>(&self, entry: &Entry<'_, M>) -> bool {
        let page = self.memory.page();
        self.place == entry.snapshot().cell.address()
            && entry.level().below() == Some(self.level)
            && entry.gfn() == page.gfn()
            && entry.cx().role().with_level(self.level) == page.role()
    }

    fn link_spte(&self) -> Spte {
        spte::link(self.memory.id.pa())
    }

    fn linked<'r, M: Mode>(self, cx: &Context<'r, M>) -> Table<'r> {
        let (gfn, level, id) = (self.gfn, self.level, self.memory.give_up());
        cx.vm().account_table(1);
        Table::linked(cx.vm().machine.arena.page(id), gfn, level)
    }
}

macro_rules! linkable {
    ($name:ident) => {
        impl $name {
            pub(super) fn was_made_for<M: Mode>(&self, entry: &Entry<'_, M>) -> bool {
                self.0.was_made_for(entry)
            }

            pub(super) fn link_spte(&self) -> Spte {
                self.0.link_spte()
            }

            pub(super) fn linked<'r, M: Mode>(self, cx: &Context<'r, M>) -> Table<'r> {
                self.0.linked(cx)
            }
        }
    };
}

/// An empty table, to be linked.
pub struct NewTable(Unlinked);

linkable!(NewTable);

impl NewTable {
    /// Prepares `memory` for `entry`.
    pub fn for_entry<M: Mode>(memory: TableMemory, entry: &Entry<'_, M>, nx: NxHugePage) -> Self {
        let new = Unlinked::new(memory, entry);
        new.memory
            .page()
            .set_nx_disallowed(nx == NxHugePage::Disallowed);
        Self(new)
    }
}

/// Memory for a table that will be filled completely before anyone sees it.
pub struct SplitMemory(TableMemory);

impl SplitMemory {
    /// Allocates; may sleep. `None` if there is no memory.
    pub fn alloc() -> Option<Self> {
        lockdep::might_sleep("allocating a table");
        let machine = Machine::current();
        machine
            .may_allocate()
            .then(|| Self(TableMemory::alloc(machine)))
    }

    /// Fills the table with what stands in `huge`'s place after the split.
    pub fn fill<M: Mode>(
        self,
        huge: &Leaf<'_, M>,
        nx: NxHugePage,
        small: impl Fn(Level, usize) -> Spte,
    ) -> SplitTable {
        let table = NewTable::for_entry(self.0, huge, nx).0;
        for (index, cell) in table.memory.page().unlinked_cells().iter().enumerate() {
            let leaf = LeafSpte::new(small(table.level, index), table.level);
            cell.init(leaf.spte());
        }
        SplitTable(table)
    }
}

impl From<TableMemory> for SplitMemory {
    fn from(memory: TableMemory) -> Self {
        Self(memory)
    }
}

/// A table full of leaves, to take the place of a huge page.
pub struct SplitTable(Unlinked);

linkable!(SplitTable);

impl SplitTable {
    /// Gives the memory back for another try.
    pub fn into_memory(self) -> SplitMemory {
        SplitMemory(self.0.memory)
    }
}
