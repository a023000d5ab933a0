// SPDX-License-Identifier: GPL-2.0

//! Tables that nobody can reach yet: owned, and freed with their owner.

use super::{
    context::Context,
    entry::{Entry, Leaf},
    page::{free, Table},
    role::Role, //
};
use crate::kvm::{
    lock::Mode,
    spte::{self, LeafSpte, Spte},
    trace,
    types::{Gfn, Level, NxHugePage, ENTRIES}, //
};
use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};
use kvm_bindings as bindings;

/// A header and a page for a table, initialised to nothing but absent entries.
///
/// # Invariants
///
/// The value owns both. All entries of the page are absent.
pub struct TableMemory(NonNull<bindings::kvm_mmu_page>);

impl TableMemory {
    /// Takes over what C's memory caches hand out.
    ///
    /// # Safety
    ///
    /// `sp` must be an owned, zeroed header, `spt` an owned page of absent entries.
    pub(in crate::kvm) unsafe fn from_raw(
        sp: NonNull<bindings::kvm_mmu_page>,
        spt: *mut u64,
    ) -> Self {
        // SAFETY: The caller owns the header.
        unsafe { (*sp.as_ptr()).spt = spt };
        // INVARIANT: Header and page were the caller's, and all entries are absent.
        Self(sp)
    }

    /// Fills in the header. The page is not reachable yet.
    fn init(&self, ptep: *mut u64, gfn: Gfn, role: Role) {
        let sp = self.0.as_ptr();
        // SAFETY: Both are owned by the value.
        unsafe {
            bindings::kvmrs_list_init(&raw mut (*sp).possible_nx_huge_page_link);
            bindings::kvmrs_set_sp_of((*sp).spt.cast(), sp);
            (*sp).role = role.into_raw();
            (*sp).gfn = gfn.raw();
            (*sp).__bindgen_anon_4.ptep = ManuallyDrop::new(ptep);
            (*sp).tdp_mmu_page = true;
        }
        // SAFETY: The header is owned and filled in.
        unsafe { trace::page_created(sp) };
    }

    /// Makes it a root. Reachable once it is on the list.
    pub(in crate::kvm) fn into_root(self, role: Role) -> NonNull<bindings::kvm_mmu_page> {
        self.init(core::ptr::null_mut(), Gfn::new(0), role);
        ManuallyDrop::new(self).0
    }
}

impl Drop for TableMemory {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant both are owned.
        unsafe { free(self.0.as_ptr()) };
    }
}

/// A table that no entry links yet, made for one certain entry.
struct Unlinked {
    memory: TableMemory,
    ptep: *mut u64,
    gfn: Gfn,
    level: Level,
}

impl Unlinked {
    fn new<M: Mode>(memory: TableMemory, entry: &Entry<'_, M>) -> Self {
        // An entry of level 1 never takes a table: see `was_made_for()`.
        let level = entry.level().below().unwrap_or(Level::PG_4K);
        let ptep = entry.snapshot().cell.as_ptr();
        memory.init(ptep, entry.gfn(), entry.cx().role().with_level(level));
        Self {
            memory,
            ptep,
            gfn: entry.gfn(),
            level,
        }
    }

    /// The place alone does not tell: the page that an entry lies in may have been freed since, and
    /// be a table of another kind now.
    #[inline(always)]
    fn was_made_for<M: Mode>(&self, entry: &Entry<'_, M>) -> bool {
        let role = entry.cx().role().with_level(self.level);
        // SAFETY: The header is owned, and filled in.
        let (gfn, own_role) = unsafe {
            let sp = self.memory.0.as_ptr();
            ((*sp).gfn, Role::from_raw((*sp).role))
        };
        self.ptep == entry.snapshot().cell.as_ptr()
            && entry.level().below() == Some(self.level)
            && entry.gfn().raw() == gfn
            && role.word() == own_role.word()
    }

    #[inline(always)]
    fn spt(&self) -> *mut u64 {
        // SAFETY: The header is owned.
        unsafe { (*self.memory.0.as_ptr()).spt }
    }

    #[inline(always)]
    fn link_spte(&self) -> Spte {
        // SAFETY: `spt` is a page of the direct map.
        spte::link(unsafe { bindings::kvmrs_pa(self.spt().cast()) })
    }

    /// The table is reachable now: it is no longer the value's to free.
    #[inline(always)]
    fn linked<'r, M: Mode>(self, cx: &Context<'r, M>) -> Table<'r> {
        let spt = self.spt();
        cx.vm().account_table(spt.cast(), 1);
        let _ = ManuallyDrop::new(self.memory);
        // SAFETY: The one that unlinks the table frees it by RCU, and the context keeps the section
        // open for `'r`. The level is that below the entry's, the first frame the entry's own.
        unsafe { Table::from_ptr(spt, self.gfn, self.level) }
    }
}

/// An empty table, to be [linked](super::Absent::link).
pub struct NewTable(Unlinked);

impl NewTable {
    /// Prepares `memory` for `entry`. `nx` says whether it is there for lack of a huge page.
    pub fn for_entry<M: Mode>(memory: TableMemory, entry: &Entry<'_, M>, nx: NxHugePage) -> Self {
        let new = Unlinked::new(memory, entry);
        let disallowed = nx == NxHugePage::Disallowed;
        // SAFETY: The header is owned.
        unsafe { (*new.memory.0.as_ptr()).nx_huge_page_disallowed = disallowed };
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
        // SAFETY: The caches exist as long as kvm.ko.
        let sp = NonNull::new(unsafe { bindings::kvmrs_alloc_sp() })?;
        // SAFETY: No requirements.
        let spt = unsafe { bindings::kvmrs_alloc_table() };
        if spt.is_null() {
            // SAFETY: Just allocated, and nobody knows it.
            unsafe { bindings::kvmrs_free_sp(sp.as_ptr()) };
            return None;
        }
        // SAFETY: Both are owned. The page holds garbage, which is why the type keeps it from
        // being linked before all of it is written.
        Some(Self(unsafe { TableMemory::from_raw(sp, spt.cast()) }))
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
        let table = NewTable::for_entry(self.0, huge, nx).0;
        for index in 0..ENTRIES {
            let leaf = LeafSpte::new(small(table.level, index), table.level);
            // SAFETY: The page is owned and has `ENTRIES` entries.
            unsafe { table.spt().add(index).write(leaf.spte().raw()) };
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
