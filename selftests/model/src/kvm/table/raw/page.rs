// SPDX-License-Identifier: GPL-2.0

//! Page tables with their headers, which know their state: every use checks it.

use super::{cells::Cells, role::Role};
use crate::{
    atomic::{
        plain::{self, lock, AtomicU32, AtomicU64, AtomicU8},
        AtomicBool, AtomicI32,
        Ordering::SeqCst,
    },
    kvm::{
        lock::PagesLock,
        memory::AnyVm,
        spte::SpteCell,
        types::{Gfn, Level, ENTRIES},
    },
    machine::{arena::PageId, Machine},
};

/// The states of a header.
///
/// There is no state for "linked": who links a table has published it before it can take a note,
/// and another task may have removed it by then.
const FREE: u8 = 0;
const USED: u8 = 1;
const REMOVED: u8 = 2;

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
    /// The address of the entry that links the table; 0 for a root.
    parent: AtomicU64,
    /// Whether a test has planted a lie in the header.
    forged: plain::AtomicBool,
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
            parent: AtomicU64::new(0),
            forged: plain::AtomicBool::new(false),
            nx_disallowed: plain::AtomicBool::new(false),
            references: AtomicI32::new(0),
            scheduled: AtomicBool::new(false),
        }
    }

    pub(super) fn alive(&self) {
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
        self.forged.store(false, SeqCst);
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

    /// The first frame that the table spans.
    pub fn gfn(&self) -> Gfn {
        self.alive();
        Gfn::new(self.gfn.load(SeqCst))
    }

    pub(in crate::kvm::table) fn cells(&self) -> Cells<'_> {
        Cells::of(self)
    }

    pub(super) fn entries(&self) -> &[SpteCell; ENTRIES] {
        &self.cells
    }

    /// A link leads to the table that was made for it.
    pub(super) fn assert_made_for(&self, gfn: Gfn, level: Level) {
        if !self.forged.load(SeqCst) {
            let level = Some(level);
            assert_eq!(self.role().level(), level, "linked at the wrong level");
            assert_eq!(self.gfn(), gfn, "a table is linked in the wrong place");
        }
    }

    pub(in crate::kvm::table) fn is_linked_from(&self, cell: &SpteCell) -> bool {
        self.parent.load(SeqCst) == cell.address() as u64
    }

    pub(in crate::kvm::table) fn parent_cell<'r>(&self, vm: &'r AnyVm) -> Option<&'r SpteCell> {
        let address = self.parent.load(SeqCst) as usize;
        let page = (address != 0).then(|| vm.machine.arena.page_around(address))?;
        page.cells.iter().find(|cell| cell.address() == address)
    }

    /// Makes the header say what is not so.
    pub(crate) fn forge(&self, lie: Lie) {
        self.forged.store(true, SeqCst);
        match lie {
            Lie::Role(role) => self.set_role(role),
            Lie::Gfn(gfn) => self.gfn.store(gfn.raw(), SeqCst),
            Lie::Parent(id, index) => {
                let machine = Machine::current();
                let cell = machine.arena.page(id).hardware_cell(index as usize);
                self.parent.store(cell.address() as u64, SeqCst);
            }
        }
    }

    /// Fills in the header of a table that nobody can reach yet.
    pub(super) fn init(&self, parent: Option<&SpteCell>, gfn: Gfn, role: Role) {
        self.set_role(role);
        self.gfn.store(gfn.raw(), SeqCst);
        let parent = parent.map_or(0, SpteCell::address) as u64;
        self.parent.store(parent, SeqCst);
    }

    /// Whether it is there because a huge page must not be executable.
    pub fn is_nx_disallowed(&self) -> bool {
        self.nx_disallowed.load(SeqCst)
    }

    pub(in crate::kvm::table) fn set_nx_disallowed(&self, disallowed: bool) {
        self.nx_disallowed.store(disallowed, SeqCst);
    }

    pub(in crate::kvm::table) fn add_to_nx_list(&self, pages: &PagesLock<'_>) {
        lock(&pages.vm().nx_pages).insert(self.id);
    }

    pub(in crate::kvm::table) fn remove_from_nx_list(&self, pages: &PagesLock<'_>) {
        lock(&pages.vm().nx_pages).remove(&self.id);
    }

    /// Frees header and table once all present RCU readers are gone.
    pub(in crate::kvm) fn free_by_rcu(&self, vm: &AnyVm) {
        self.becomes(USED, REMOVED);
        let (machine, id) = (vm.machine.clone(), self.id);
        vm.machine.rcu.call_rcu(move || machine.arena.free(id));
    }
}
