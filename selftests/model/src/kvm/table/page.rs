// SPDX-License-Identifier: GPL-2.0

//! Page tables and their headers, in one object of the machine's arena.
//!
//! What is a raw pointer in the kernel is a number here, and headers know their state, which every
//! use checks.

use super::{context::Context, role::Role};
use crate::{
    atomic::{
        plain::{self, lock, AtomicU32, AtomicU64, AtomicU8},
        AtomicBool, AtomicI32,
        Ordering::SeqCst,
    },
    kvm::{
        lock::{Mode, PagesLock},
        memory::{AnyVm, Vm},
        spte::{masks, Spte, SpteCell},
        types::{Gfn, Level, ENTRIES},
    },
    machine::arena::PageId,
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
    gfn: Gfn,
    level: Level,
}

impl<'r> Table<'r> {
    /// A table that was just linked; another task may have removed it by now.
    pub(super) fn linked(page: &'r ShadowPage, gfn: Gfn, level: Level) -> Self {
        Self { page, gfn, level }
    }

    pub(super) fn linked_by<M: Mode>(
        link: Spte,
        gfn: Gfn,
        level: Level,
        cx: &Context<'r, M>,
    ) -> Self {
        assert!(link.is_table(level), "{link:?} is no link");
        let id = PageId::at(link.raw() & masks::base_addr());
        let page = cx.vm().machine.arena.page(id);
        let below = level.below().unwrap_or(Level::PG_4K);
        assert_eq!(page.level(), below, "a table is linked at the wrong level");
        assert_eq!(page.gfn(), gfn, "a table is linked in the wrong place");
        Self::linked(page, gfn, below)
    }

    /// The table that `spte` links, if it does. Headers may say what they like.
    pub(super) fn follow(
        self,
        spte: Spte,
        gfn: Gfn,
        vm: &'r AnyVm,
        _rcu: &'r impl crate::sync::Rcu,
    ) -> Option<Self> {
        let below = self.level.below().filter(|_| spte.is_table(self.level))?;
        let id = PageId::at(spte.raw() & masks::base_addr());
        Some(Self::linked(vm.machine.arena.page(id), gfn, below))
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

    /// The entry for `gfn`, if the table spans it.
    #[inline(always)]
    pub fn cell_for(self, gfn: Gfn) -> Option<&'r SpteCell> {
        self.page.cells.get(gfn.index_from(self.gfn, self.level))
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
    pub(in crate::kvm) fn page(self) -> &'r ShadowPage {
        self.page.alive();
        self.page
    }
}

/// What a header can be wrong about.
#[derive(Clone, Copy)]
pub enum Lie {
    /// The role, the level included.
    Role(Role),
    /// The first frame.
    Gfn(Gfn),
    /// Table and index of the entry that links the table.
    Parent(PageId, u32),
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
    pub(in crate::kvm) references: AtomicI32,
    /// Whether a root waits to be zapped.
    pub(in crate::kvm) scheduled: AtomicBool,
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

    pub(in crate::kvm) fn set_role(&self, role: Role) {
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
    pub(super) fn table<'r>(&'r self, _rcu: &'r impl crate::sync::Rcu) -> Table<'r> {
        Table::linked(self, self.gfn(), self.level())
    }

    /// Whether this is a page of the TDP MMU's.
    pub fn is_tdp_mmu_page(&self) -> bool {
        true
    }

    /// Whether it is there because a huge page must not be executable.
    pub fn is_nx_disallowed(&self) -> bool {
        self.nx_disallowed.load(SeqCst)
    }

    /// The memory of the entry in the parent table that links, or linked, this table.
    pub(super) fn parent_cell<'r>(&self, vm: &'r Vm) -> Option<&'r SpteCell> {
        let parent = PageId::from_raw(self.parent.0.load(SeqCst));
        if parent == PageId::NONE {
            return None;
        }
        let parent = vm.machine.arena.page(parent);
        Some(&parent.cells[self.parent.1.load(SeqCst) as usize])
    }

    /// Makes the header say what is not so.
    pub(crate) fn forge(&self, lie: Lie) {
        match lie {
            Lie::Role(role) => self.set_role(role),
            Lie::Gfn(gfn) => self.gfn.store(gfn.raw(), SeqCst),
            Lie::Parent(id, index) => {
                self.parent.0.store(id.raw(), SeqCst);
                self.parent.1.store(index, SeqCst);
            }
        }
    }

    /// Fills in the header of a table that nobody can reach yet.
    pub(super) fn init(&self, parent: (PageId, usize), gfn: Gfn, role: Role) {
        self.set_role(role);
        self.gfn.store(gfn.raw(), SeqCst);
        self.parent.0.store(parent.0.raw(), SeqCst);
        self.parent.1.store(parent.1 as u32, SeqCst);
    }

    pub(super) fn set_nx_disallowed(&self, disallowed: bool) {
        self.nx_disallowed.store(disallowed, SeqCst);
    }

    /// The entries, of a table that nobody can reach yet.
    pub(super) fn unlinked_cells(&self) -> &[SpteCell; ENTRIES] {
        &self.cells
    }

    /// Whether the header says that the entry for `gfn` in `table` links this page.
    pub(super) fn is_linked_by(&self, table: Table<'_>, gfn: Gfn) -> bool {
        let parent = (self.parent.0.load(SeqCst), self.parent.1.load(SeqCst));
        parent
            == (
                table.page.id.raw(),
                gfn.index_from(table.gfn, table.level) as u32,
            )
    }

    /// How many references a root has right now.
    pub fn root_references(&self) -> u32 {
        self.references.load(SeqCst).unsigned_abs()
    }

    /// Whether `table` is this page's table.
    pub fn owns(&self, table: Table<'_>) -> bool {
        core::ptr::eq(self, table.page)
    }

    /// Puts the page on the list of those that keep KVM from mapping a huge page.
    pub(super) fn track_possible_nx_huge_page(&self, lock: &PagesLock<'_>) {
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
    pub(in crate::kvm) fn free_by_rcu(&self, vm: &Vm) {
        self.becomes(USED, REMOVED);
        let (machine, id) = (vm.machine.clone(), self.id);
        vm.machine.rcu.call_rcu(move || machine.arena.free(id));
    }
}
