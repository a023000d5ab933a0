// SPDX-License-Identifier: GPL-2.0

//! Tables that everyone may reach: borrowed, never owned.

#![forbid(unsafe_code)]

use super::{
    context::Context,
    raw::{Cells, ShadowPage}, //
};
use crate::{
    kvm::{
        lock::{Mode, PagesLock},
        memory::{AnyVm, Vm},
        spte::{masks, Spte, SpteCell},
        types::{Gfn, Level, ENTRIES}, //
    },
    sync::Rcu, //
};

/// A borrowed page table: [`ENTRIES`] entries that stay allocated for `'r`.
///
/// # Invariants
///
/// `level` is the level that the table was made for: it decides which entries are links. `gfn` is
/// the first frame that the table spans: it decides for which frames there are entries.
#[derive(Clone, Copy)]
pub struct Table<'r> {
    cells: Cells<'r>,
    gfn: Gfn,
    level: Level,
}

impl<'r> Table<'r> {
    /// The table with `cells`, which was just linked for these.
    #[inline(always)]
    pub(super) fn linked(cells: Cells<'r>, gfn: Gfn, level: Level) -> Self {
        // INVARIANT: The table was made for `level` and `gfn`.
        Self { cells, gfn, level }
    }

    /// The table that `link`, in the entry for `gfn` of a table of `level`, points to.
    ///
    /// `link` must have been read from such an entry during `cx`, and be present and not last.
    #[inline(always)]
    pub(super) fn linked_by<M: Mode>(
        link: Spte,
        gfn: Gfn,
        level: Level,
        cx: &Context<'r, M>,
    ) -> Self {
        // At the lowest level every entry is last, so there are no links to ask for.
        Self::behind(link, gfn, level.below().unwrap_or(Level::PG_4K), cx.vm())
    }

    /// The table that `spte` links, if it does. It was read from the entry at `gfn` of this table.
    pub(super) fn follow(
        self,
        spte: Spte,
        gfn: Gfn,
        vm: &'r AnyVm,
        _rcu: &'r impl Rcu,
    ) -> Option<Self> {
        let below = self.level.below().filter(|_| spte.is_table(self.level))?;
        Some(Self::behind(spte, gfn, below, vm))
    }

    /// The table of `level` that `link` points to. It begins at the entry's first frame, `gfn`.
    #[inline(always)]
    fn behind(link: Spte, gfn: Gfn, level: Level, vm: &'r AnyVm) -> Self {
        let pa = link.raw() & masks::base_addr();
        // INVARIANT: Links hold the address of a table one level down that begins at the entry's first
        // frame (`NewTable`, `SplitTable`).
        Self {
            cells: Cells::at(vm, pa, gfn, level),
            gfn,
            level,
        }
    }

    /// The table's level.
    #[inline(always)]
    pub fn level(self) -> Level {
        self.level
    }

    /// The first frame that the table spans.
    #[inline(always)]
    pub fn gfn(self) -> Gfn {
        self.gfn
    }

    /// The entry for `gfn`, if the table spans it: no root spans all frames that there may be.
    #[inline(always)]
    pub fn cell_for(self, gfn: Gfn) -> Option<&'r SpteCell> {
        self.cells().get(gfn.index_from(self.gfn, self.level))
    }

    /// The entry at `index`, which is taken modulo the table's size.
    #[inline(always)]
    pub fn cell(self, index: usize) -> &'r SpteCell {
        &self.cells()[index % ENTRIES]
    }

    /// All entries.
    #[inline(always)]
    pub fn cells(self) -> &'r [SpteCell; ENTRIES] {
        self.cells.all()
    }

    /// The table's header.
    #[inline(always)]
    pub(super) fn page(self) -> &'r ShadowPage {
        self.cells.page()
    }

    /// Accounts `count` more tables of this one's kind.
    #[inline(always)]
    pub(super) fn account(self, vm: &Vm, count: i32) {
        self.cells.account(vm, count);
    }
}

impl ShadowPage {
    /// The table's level.
    #[inline(always)]
    pub fn level(&self) -> Level {
        // Every page got its level from a `Level`, or from C's root role, which has 4 or 5.
        self.role().level().unwrap_or(Level::MAX)
    }

    /// The table, for as long as an RCU section lasts.
    #[inline(always)]
    pub(super) fn table<'r>(&'r self, _rcu: &'r impl Rcu) -> Table<'r> {
        // INVARIANT: The header says what the table was made for.
        Table {
            cells: self.cells(),
            gfn: self.gfn(),
            level: self.level(),
        }
    }

    /// Whether the header says that the entry for `gfn` in `table` links this page.
    pub(super) fn is_linked_by(&self, table: Table<'_>, gfn: Gfn) -> bool {
        let cell = table.cell_for(gfn);
        cell.is_some_and(|cell| self.is_linked_from(cell))
    }

    /// Whether `table` is this page's table.
    #[inline(always)]
    pub fn owns(&self, table: Table<'_>) -> bool {
        core::ptr::eq(self.cells().all(), table.cells())
    }

    /// Puts the page on the list of those that keep KVM from mapping a huge page, unless it was
    /// zapped since it was linked. No page stands in the way of a huge page but below a level that has
    /// some, so none is linked by a root.
    pub(super) fn track_possible_nx_huge_page(&self, lock: &PagesLock<'_>) {
        if self.is_nx_disallowed() && self.level() < Level::MAX_HUGEPAGE {
            self.add_to_nx_list(lock);
        }
    }

    /// Takes the page off that list, if recovery has not.
    pub(super) fn untrack_possible_nx_huge_page(&self, vm: &Vm) {
        // A page without the flag never gets it, and is not on the list.
        if !self.is_nx_disallowed() {
            return;
        }
        self.untrack(&vm.pages_lock());
    }

    /// Takes the page off that list, for good.
    pub(super) fn untrack(&self, lock: &PagesLock<'_>) {
        self.remove_from_nx_list(lock);
        // Last: who finds it cleared, without the lock, takes the page to be on no list.
        self.set_nx_disallowed(false);
    }
}
