// SPDX-License-Identifier: GPL-2.0

//! The memory of page tables, which is never really freed.
//!
//! A table that is freed is poisoned: whoever still reads or writes one of its entries, or asks
//! its header anything, panics. It stays so for as long as there is other memory to use. That is
//! what allows references of the machine's lifetime to it without `unsafe`.

use crate::{
    atomic::{
        plain::{lock, AtomicI64, Mutex},
        OnceLock, Ordering,
    },
    kvm::{types::PAGE_SHIFT, ShadowPage},
};
use std::collections::{BTreeMap, VecDeque};

/// Number of tables that a machine has memory for.
const CAPACITY: usize = 1 << 15;
/// Number of tables of a chunk.
const CHUNK: usize = 64;
/// Number of freed tables that are kept from being used again.
const QUARANTINE: usize = CAPACITY / 4;
/// Frame number of the first table's memory: out of reach of guests' memory.
const FIRST_FRAME: u64 = 1 << 32;

/// A table's place in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageId(u32);

impl PageId {
    /// For tables that do not exist.
    pub const NONE: Self = Self(u32::MAX);

    /// The raw number.
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// The table with number `raw`.
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// The physical address of the table.
    pub const fn pa(self) -> u64 {
        (FIRST_FRAME + self.0 as u64) << PAGE_SHIFT
    }

    /// The table at physical address `pa`.
    pub fn at(pa: u64) -> Self {
        let frame = pa >> PAGE_SHIFT;
        let index = frame.checked_sub(FIRST_FRAME);
        let index = index.filter(|index| *index < CAPACITY as u64);
        Self(index.unwrap_or_else(|| panic!("{pa:#x} is not the address of a table")) as u32)
    }
}

/// Tables that come into being with the first of them: a model checker makes many machines.
type Chunk = Box<[OnceLock<ShadowPage>; CHUNK]>;

/// All page tables of a machine.
pub struct Arena {
    chunks: Vec<OnceLock<Chunk>>,
    state: Mutex<State>,
    in_use: AtomicI64,
}

#[derive(Default)]
struct State {
    used: u32,
    quarantine: VecDeque<PageId>,
    /// Addresses of the tables' first entries.
    bases: BTreeMap<usize, PageId>,
}

impl Arena {
    pub(super) fn new() -> Self {
        Self {
            chunks: (0..CAPACITY / CHUNK).map(|_| OnceLock::new()).collect(),
            state: Mutex::default(),
            in_use: AtomicI64::new(0),
        }
    }

    /// The table `id`, which must have been allocated once. It may be freed.
    pub fn page(&self, id: PageId) -> &ShadowPage {
        let slot = self.slot(id).and_then(OnceLock::get);
        slot.unwrap_or_else(|| panic!("{id:?} was never a table"))
    }

    fn slot(&self, id: PageId) -> Option<&OnceLock<ShadowPage>> {
        let index = id.0 as usize;
        let chunk = self.chunks.get(index / CHUNK)?;
        let chunk = chunk.get_or_init(|| [const { OnceLock::new() }; CHUNK].into());
        chunk.get(index % CHUNK)
    }

    /// Takes memory for a table out of quarantine, or new memory.
    pub(crate) fn allocate(&self) -> PageId {
        let id = self.take_memory();
        self.page(id).allocated();
        self.in_use.fetch_add(1, Ordering::Relaxed);
        id
    }

    fn take_memory(&self) -> PageId {
        let mut state = lock(&self.state);
        if state.quarantine.len() > QUARANTINE || state.used as usize == CAPACITY {
            state.quarantine.pop_front().expect("no memory for tables")
        } else {
            let id = PageId(state.used);
            let slot = self.slot(id).expect("as large as CAPACITY");
            let page = slot.get_or_init(|| ShadowPage::new(id));
            state.bases.insert(page.base_address(), id);
            state.used += 1;
            id
        }
    }

    /// Poisons the table.
    pub(crate) fn free(&self, id: PageId) {
        self.page(id).poison();
        self.in_use.fetch_sub(1, Ordering::Relaxed);
        lock(&self.state).quarantine.push_back(id);
    }

    /// The table in which the entry at `address` lies.
    pub(crate) fn page_around(&self, address: usize) -> &ShadowPage {
        let id = lock(&self.state)
            .bases
            .range(..=address)
            .next_back()
            .map(|(_, id)| *id);
        self.page(id.expect("an entry outside of all tables"))
    }

    /// Number of tables that are not freed.
    pub fn in_use(&self) -> i64 {
        self.in_use.load(Ordering::Relaxed)
    }
}
