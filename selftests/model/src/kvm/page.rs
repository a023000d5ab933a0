// SPDX-License-Identifier: GPL-2.0

//! Page tables and their headers, in one object of the machine's arena.
//!
//! The chain of types is that of the kernel's page.rs. What is a raw pointer there is a number
//! here, and headers know their state, which every use checks.

use super::{
    cell::SpteCell,
    entry::{Context, Entry, Leaf},
    mode::Mode,
    spte::{self, LeafSpte, Spte},
    types::{Gfn, Level, ENTRIES},
    PagesLock, Role, Vm,
};
use crate::{
    atomic::{
        plain::{self, lock, AtomicU32, AtomicU64, AtomicU8},
        Arc, AtomicBool, AtomicI32,
        Ordering::SeqCst,
    },
    lockdep,
    machine::{arena::PageId, Machine},
};

/// The states of a header.
///
/// There is no state for "linked": who links a table has published it before it can take a note,
/// and another task may have removed it by then.
const FREE: u8 = 0;
const USED: u8 = 1;
const REMOVED: u8 = 2;

/// A borrowed page table.
#[derive(Clone, Copy)]
pub struct Table<'r> {
    page: &'r ShadowPage,
    level: Level,
}

impl<'r> Table<'r> {
    fn new(page: &'r ShadowPage, level: Level) -> Self {
        assert_eq!(page.level(), level, "a table is linked at the wrong level");
        Self { page, level }
    }

    pub(super) fn linked_by<M: Mode>(link: Spte, level: Level, cx: &Context<'r, M>) -> Self {
        assert!(link.is_table(level), "{link:?} is no link");
        let id = PageId::at(link.raw() & super::masks::base_addr());
        Self::new(
            cx.vm().machine.arena.page(id),
            level.below().unwrap_or(Level::PG_4K),
        )
    }

    /// The table's level.
    #[inline(always)]
    pub fn level(self) -> Level {
        self.level
    }

    /// The entry at `index`.
    #[inline(always)]
    pub fn cell(self, index: usize) -> &'r SpteCell {
        &self.page.cells[index % ENTRIES]
    }

    /// All entries.
    #[inline(always)]
    pub fn cells(self) -> &'r [SpteCell; ENTRIES] {
        &self.page.cells
    }

    /// The table's header.
    pub fn page(self) -> &'r ShadowPage {
        self.page.alive();
        self.page
    }
}

/// The header of a page table, and the table.
pub struct ShadowPage {
    id: PageId,
    cells: Box<[SpteCell; ENTRIES]>,
    state: AtomicU8,
    role: AtomicU32,
    gfn: AtomicU64,
    /// Table and index of the entry that links this one.
    parent: (AtomicU32, AtomicU32),
    nx_disallowed: plain::AtomicBool,
    /// A root's references.
    pub(super) references: AtomicI32,
    /// Whether a root waits to be zapped.
    pub(super) scheduled: AtomicBool,
}

/// Made where they stay: a model checker's threads have small stacks.
fn poisoned_cells() -> Box<[SpteCell; ENTRIES]> {
    let cells: Box<[_]> = (0..ENTRIES).map(SpteCell::poisoned).collect();
    cells
        .try_into()
        .unwrap_or_else(|_| panic!("{ENTRIES} cells"))
}

impl ShadowPage {
    pub(crate) fn new(id: PageId) -> Self {
        Self {
            id,
            cells: poisoned_cells(),
            state: AtomicU8::new(FREE),
            role: AtomicU32::new(0),
            gfn: AtomicU64::new(0),
            parent: (AtomicU32::new(0), AtomicU32::new(0)),
            nx_disallowed: plain::AtomicBool::new(false),
            references: AtomicI32::new(0),
            scheduled: AtomicBool::new(false),
        }
    }

    fn alive(&self) {
        let state = self.state.load(SeqCst);
        assert_ne!(state, FREE, "late use: the header was freed");
    }

    fn becomes(&self, from: u8, to: u8) {
        let was = self.state.swap(to, SeqCst);
        assert_eq!(was, from, "{:?} cannot become {to}", self.id);
    }

    pub(crate) fn allocated(&self) {
        self.becomes(FREE, USED);
        self.cells.iter().for_each(SpteCell::clear);
        self.nx_disallowed.store(false, SeqCst);
        self.scheduled.store(false, SeqCst);
    }

    pub(crate) fn poison(&self) {
        let was = self.state.swap(FREE, SeqCst);
        assert_ne!(was, FREE, "{:?} is freed twice", self.id);
        self.cells.iter().for_each(SpteCell::poison);
    }

    pub(crate) fn base_address(&self) -> usize {
        self.cells[0].address()
    }

    /// The entry at `index`, as hardware gets at it: whether the table is still there or not.
    pub(crate) fn hardware_cell(&self, index: usize) -> &SpteCell {
        &self.cells[index]
    }

    /// Its place in the arena.
    pub fn id(&self) -> PageId {
        self.id
    }

    /// The role.
    pub fn role(&self) -> Role {
        self.alive();
        Role::from_word(self.role.load(SeqCst))
    }

    pub(super) fn set_role(&self, role: Role) {
        self.role.store(role.word(), SeqCst);
    }

    /// The table's level.
    pub fn level(&self) -> Level {
        self.role().level().unwrap_or(Level::MAX)
    }

    /// The first frame that the table spans.
    pub fn gfn(&self) -> Gfn {
        self.alive();
        Gfn::new(self.gfn.load(SeqCst))
    }

    /// The table, for as long as an RCU section lasts.
    pub fn table<'r>(&'r self, _rcu: &'r impl crate::sync::Rcu) -> Table<'r> {
        Table::new(self, self.level())
    }

    /// Whether this is a page of the TDP MMU's.
    pub fn is_tdp_mmu_page(&self) -> bool {
        true
    }

    /// Whether it is there because a huge page must not be executable.
    pub fn is_nx_disallowed(&self) -> bool {
        self.nx_disallowed.load(SeqCst)
    }

    /// The entry in the parent table that links, or linked, this table.
    pub fn parent_entry<'r, M: Mode>(&'r self, cx: Context<'r, M>) -> Option<Entry<'r, M>> {
        let level = self.level().above()?;
        let parent = PageId::from_raw(self.parent.0.load(SeqCst));
        if parent == PageId::NONE {
            return None;
        }
        let parent = cx.vm().machine.arena.page(parent);
        let cell = &parent.cells[self.parent.1.load(SeqCst) as usize];
        Some(Entry::with_value(cx, cell, cell.load(), level, self.gfn()))
    }

    /// Whether `table` is this page's table.
    pub fn owns(&self, table: Table<'_>) -> bool {
        core::ptr::eq(self, table.page)
    }

    /// Puts the page on the list of those that keep KVM from mapping a huge page.
    pub fn track_possible_nx_huge_page(&self, lock: &PagesLock<'_>) {
        if self.is_nx_disallowed() {
            plain::lock(&lock.vm().nx_pages).insert(self.id);
        }
    }

    pub(super) fn untrack_possible_nx_huge_page(&self, vm: &Vm) {
        if self.is_nx_disallowed() {
            let pages = vm.pages_lock();
            self.nx_disallowed.store(false, SeqCst);
            lock(&pages.vm().nx_pages).remove(&self.id);
        }
    }

    /// Frees header and table once all present RCU readers are gone.
    pub(super) fn free_by_rcu(&self, vm: &Vm) {
        self.becomes(USED, REMOVED);
        let (machine, id) = (vm.machine.clone(), self.id);
        vm.machine.rcu.call_rcu(move || machine.arena.free(id));
    }
}

/// Memory for a table.
pub struct TableMemory {
    machine: Arc<Machine>,
    id: PageId,
    owned: bool,
}

impl TableMemory {
    pub(super) fn alloc(machine: Arc<Machine>) -> Self {
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
        let page = self.page();
        page.set_role(role);
        page.gfn.store(gfn.raw(), SeqCst);
        page.parent.0.store(parent.0.raw(), SeqCst);
        page.parent.1.store(parent.1 as u32, SeqCst);
    }

    /// It is reachable from now on.
    fn give_up(mut self) -> PageId {
        self.owned = false;
        self.id
    }

    pub(super) fn into_root(self, role: Role) -> PageId {
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
    level: Level,
}

impl Unlinked {
    fn new<M: Mode>(memory: TableMemory, entry: &Entry<'_, M>) -> Self {
        let level = entry.level().below().unwrap_or(Level::PG_4K);
        let place = entry.place().cell.address();
        let parent = memory.machine.arena.page_around(place).id;
        let index = entry.level().index(entry.gfn());
        memory.init(
            (parent, index),
            entry.gfn(),
            entry.cx().role().with_level(level),
        );
        Self {
            memory,
            place,
            level,
        }
    }

    fn is_for<M: Mode>(&self, entry: &Entry<'_, M>) -> bool {
        self.place == entry.place().cell.address() && entry.level() > Level::PG_4K
    }

    fn link_spte(&self) -> Spte {
        spte::link(self.memory.id.pa())
    }

    fn linked<'r, M: Mode>(self, cx: &Context<'r, M>) -> Table<'r> {
        let (level, id) = (self.level, self.memory.give_up());
        cx.vm().account_table(1);
        Table {
            page: cx.vm().machine.arena.page(id),
            level,
        }
    }
}

macro_rules! linkable {
    ($name:ident) => {
        impl $name {
            pub(super) fn is_for<M: Mode>(&self, entry: &Entry<'_, M>) -> bool {
                self.0.is_for(entry)
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
    pub fn for_entry<M: Mode>(
        memory: TableMemory,
        entry: &Entry<'_, M>,
        nx_disallowed: bool,
    ) -> Self {
        let new = Unlinked::new(memory, entry);
        new.memory.page().nx_disallowed.store(nx_disallowed, SeqCst);
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
        nx_disallowed: bool,
        small: impl Fn(usize) -> LeafSpte,
    ) -> SplitTable {
        let table = NewTable::for_entry(self.0, huge, nx_disallowed).0;
        for (index, cell) in table.memory.page().cells.iter().enumerate() {
            let leaf = small(index);
            let right_level = leaf.level() == table.level;
            cell.init(if right_level {
                leaf.spte()
            } else {
                spte::NONPRESENT
            });
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

pub use super::removed::{RemovedTable, Taken};
