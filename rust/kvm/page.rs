// SPDX-License-Identifier: GPL-2.0

//! Page tables and their headers, from allocation to the RCU callback that frees them.
//!
//! A table's life is a chain of types, each of which can only become the next:
//!
//! ```text
//!   TableMemory ─▶ NewTable ──(link)───▶ live: Table, ShadowPage ──(unlink)──▶ RemovedTable ─▶ RCU
//!   SplitMemory ─▶ SplitTable ─(split)──▶
//! ```
//!
//! Until it is linked a table belongs to one owner, who may drop it, and a link that fails gives it
//! back. Once linked, everyone may reach it: there are only borrowed [`Table`]s and
//! [`ShadowPage`]s, bound to an RCU section. The one who unlinks it gets the [`RemovedTable`],
//! takes out what is left in it, and retires it: readers that still hold a reference keep it
//! allocated until they leave their RCU sections.

use super::{
    cell::SpteCell,
    entry::{Change, Context, Entry, Leaf},
    mode::{Locked, Mode},
    spte::{self, LeafSpte, Spte, FROZEN},
    trace,
    types::{Gfn, Level, ENTRIES},
    PagesLock,
    Role,
    Vm, //
};
use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};
use kernel::types::Opaque;
use kvm_bindings as bindings;

/// A borrowed page table: [`ENTRIES`] entries that stay allocated for `'r`.
///
/// # Invariants
///
/// `level` is the level that the table was made for: it decides which entries are links.
#[derive(Clone, Copy)]
pub struct Table<'r> {
    cells: &'r [SpteCell; ENTRIES],
    level: Level,
}

impl<'r> Table<'r> {
    /// The table of `level` at `spt`.
    ///
    /// # Safety
    ///
    /// `spt` must be a page table of `level` that is not freed during `'r`.
    #[inline(always)]
    unsafe fn from_ptr(spt: *mut u64, level: Level) -> Self {
        // SAFETY: The caller promises a page of entries; `SpteCell` is a transparent `u64`.
        let cells = unsafe { &*spt.cast() };
        // INVARIANT: The caller promises it.
        Self { cells, level }
    }

    /// The table that `link` in a table of `level` points to.
    ///
    /// `link` must have been read from such an entry during `cx`, and be present and not last.
    #[inline(always)]
    pub(super) fn linked_by<M: Mode>(link: Spte, level: Level, _cx: &Context<'r, M>) -> Self {
        let pa = link.raw() & super::masks::base_addr();
        // At the lowest level every entry is last, so there are no links to ask for.
        let below = level.below().unwrap_or(Level::PG_4K);
        // SAFETY: Links hold the address of a table one level down (`NewTable`, `SplitTable`),
        // which is freed by RCU only after it was unlinked; the context keeps the RCU section open
        // for `'r`.
        unsafe { Self::from_ptr(bindings::kvmrs_va(pa).cast(), below) }
    }

    /// The table's level.
    #[inline(always)]
    pub fn level(self) -> Level {
        self.level
    }

    /// The entry at `index`, which is taken modulo the table's size.
    #[inline(always)]
    pub fn cell(self, index: usize) -> &'r SpteCell {
        &self.cells[index % ENTRIES]
    }

    /// All entries.
    #[inline(always)]
    pub fn cells(self) -> &'r [SpteCell; ENTRIES] {
        self.cells
    }

    /// The table's header.
    #[inline(always)]
    pub fn page(self) -> &'r ShadowPage {
        // SAFETY: Each live table's `struct page` points to its header, which is freed with it.
        unsafe { &*bindings::kvmrs_sp_of(self.cells.as_ptr().cast()).cast() }
    }
}

/// The header of a live page table, a `struct kvm_mmu_page`.
///
/// # Invariants
///
/// A reference is valid as long as the table it belongs to is.
#[repr(transparent)]
pub struct ShadowPage(Opaque<bindings::kvm_mmu_page>);

// SAFETY: What others may write is read by single volatile loads, or under the locks named below.
unsafe impl Sync for ShadowPage {}

impl ShadowPage {
    /// Borrows a header from C.
    ///
    /// # Safety
    ///
    /// `ptr` must be the header of a TDP MMU page that is not freed during `'a`.
    #[inline(always)]
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::kvm_mmu_page) -> &'a Self {
        // SAFETY: The caller promises it.
        unsafe { &*ptr.cast() }
    }

    /// The C object.
    #[inline(always)]
    pub fn as_ptr(&self) -> *mut bindings::kvm_mmu_page {
        self.0.get()
    }

    /// The role; all of it but the invalid bit stays the same for life.
    #[inline(always)]
    pub fn role(&self) -> Role {
        // SAFETY: The header is alive, and the role is one word.
        Role::from_raw(unsafe { (&raw const (*self.as_ptr()).role).read_volatile() })
    }

    /// The table's level.
    #[inline(always)]
    pub fn level(&self) -> Level {
        // Every page got its level from a `Level`, or from C's root role, which has 4 or 5.
        self.role().level().unwrap_or(Level::MAX)
    }

    /// The first frame that the table spans.
    #[inline(always)]
    pub fn gfn(&self) -> Gfn {
        // SAFETY: The header is alive, and the field is constant once it is linked.
        Gfn::new(unsafe { (*self.as_ptr()).gfn })
    }

    /// The table, for as long as an RCU section lasts.
    #[inline(always)]
    pub fn table<'r>(&'r self, _rcu: &'r impl crate::sync::Rcu) -> Table<'r> {
        // SAFETY: The table lives as long as its header, which is borrowed for `'r`, and has the
        // level that the header says.
        unsafe { Table::from_ptr((*self.as_ptr()).spt, self.level()) }
    }

    /// Whether this is a page of ours; C's shadow MMU has others.
    #[inline(always)]
    pub fn is_tdp_mmu_page(&self) -> bool {
        // SAFETY: The header is alive, and the field is constant.
        unsafe { (*self.as_ptr()).tdp_mmu_page }
    }

    /// The entry in the parent table that links, or linked, this table. `None` for roots.
    #[inline]
    pub fn parent_entry<'r, M: Mode>(&'r self, cx: Context<'r, M>) -> Option<Entry<'r, M>> {
        let level = self.level().above()?;
        // SAFETY: The header is alive, and the field is constant once it is linked.
        let ptep = unsafe { *(*self.as_ptr()).__bindgen_anon_4.ptep };
        // SAFETY: A parent cannot be freed before its children: both are freed by RCU, children
        // first, so during `cx` the parent's memory is there.
        let cell: &'r SpteCell = unsafe { NonNull::new(ptep)?.cast().as_ref() };
        Some(Entry::with_value(cx, cell, cell.load(), level, self.gfn()))
    }

    /// Whether `table` is this page's table.
    #[inline(always)]
    pub fn owns(&self, table: Table<'_>) -> bool {
        // SAFETY: The header is alive, and the field is constant.
        table.cells.as_ptr().cast::<u64>() == unsafe { (*self.as_ptr()).spt }
    }

    /// Puts the page on the list of those that keep KVM from mapping a huge page, unless it was
    /// zapped since it was linked.
    pub fn track_possible_nx_huge_page(&self, lock: &PagesLock<'_>) {
        let vm = lock.vm().as_ptr();
        // SAFETY: The lock protects the flag and the list.
        unsafe {
            if (*self.as_ptr()).nx_huge_page_disallowed {
                bindings::track_possible_nx_huge_page(vm, self.as_ptr(), TDP_MMU);
            }
        }
    }

    /// Takes the page off that list. No other task does so with a page that was cut off.
    fn untrack_possible_nx_huge_page(&self, vm: &Vm) {
        // SAFETY: The header is alive. Once set at creation, the flag is only ever cleared.
        if !unsafe { (*self.as_ptr()).nx_huge_page_disallowed } {
            return;
        }
        let lock = vm.pages_lock();
        // SAFETY: The lock protects the flag and the list.
        unsafe {
            (*self.as_ptr()).nx_huge_page_disallowed = false;
            bindings::untrack_possible_nx_huge_page(lock.vm().as_ptr(), self.as_ptr(), TDP_MMU);
        }
    }

    /// Frees header and table once all present RCU readers are gone.
    ///
    /// # Safety
    ///
    /// Nobody may be able to reach the page any more but RCU readers that have already started,
    /// and no one else may call this.
    pub(super) unsafe fn free_by_rcu(&self) {
        // SAFETY: The header is alive, its `rcu_head` is for this alone, and the module stays
        // until `rcu_barrier()` in its exit.
        unsafe {
            kernel::bindings::call_rcu(&raw mut (*self.as_ptr()).callback_head, Some(free_rcu))
        };
    }
}

const TDP_MMU: bindings::kvm_mmu_type = bindings::kvm_mmu_type_KVM_TDP_MMU;

/// # Safety
///
/// Only for `call_rcu()` in [`ShadowPage::free_by_rcu`].
unsafe extern "C" fn free_rcu(head: *mut kernel::bindings::callback_head) {
    // SAFETY: `head` lies in the header that was handed to `call_rcu()`, which nobody else can
    // reach now.
    unsafe {
        let sp = kernel::container_of!(head, bindings::kvm_mmu_page, callback_head);
        free(sp);
    }
}

/// # Safety
///
/// `sp` and its table must be reachable by nobody else.
unsafe fn free(sp: *mut bindings::kvm_mmu_page) {
    // SAFETY: Both came from these allocators.
    unsafe {
        bindings::kvmrs_free_table((*sp).spt.cast());
        bindings::kvmrs_free_sp(sp);
    }
}

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
    pub(super) unsafe fn from_raw(sp: NonNull<bindings::kvm_mmu_page>, spt: *mut u64) -> Self {
        // SAFETY: The caller owns the header.
        unsafe { (*sp.as_ptr()).spt = spt };
        // INVARIANT: The caller promises it.
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
        unsafe { trace::get_page(sp, true) };
    }

    /// Makes it a root. Reachable once it is on the list.
    pub(super) fn into_root(self, role: Role) -> NonNull<bindings::kvm_mmu_page> {
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
    level: Level,
}

impl Unlinked {
    fn new<M: Mode>(memory: TableMemory, entry: &Entry<'_, M>) -> Self {
        // An entry of level 1 never takes a table: see `is_for()`.
        let level = entry.level().below().unwrap_or(Level::PG_4K);
        let ptep = entry.place().cell.as_ptr();
        memory.init(ptep, entry.gfn(), entry.cx().role().with_level(level));
        Self {
            memory,
            ptep,
            level,
        }
    }

    #[inline(always)]
    fn is_for<M: Mode>(&self, entry: &Entry<'_, M>) -> bool {
        self.ptep == entry.place().cell.as_ptr() && entry.level() > Level::PG_4K
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
        // SAFETY: Whoever unlinks the table frees it by RCU, and the context keeps the section
        // open for `'r`. The level is that below the entry's.
        unsafe { Table::from_ptr(spt, self.level) }
    }
}

/// An empty table, to be [linked](super::entry::Absent::link).
pub struct NewTable(Unlinked);

impl NewTable {
    /// Prepares `memory` for `entry`. `nx_disallowed`: it is there because a huge page must not be
    /// executable.
    pub fn for_entry<M: Mode>(
        memory: TableMemory,
        entry: &Entry<'_, M>,
        nx_disallowed: bool,
    ) -> Self {
        let new = Unlinked::new(memory, entry);
        // SAFETY: The header is owned.
        unsafe { (*new.memory.0.as_ptr()).nx_huge_page_disallowed = nx_disallowed };
        Self(new)
    }

    #[inline(always)]
    pub(super) fn is_for<M: Mode>(&self, entry: &Entry<'_, M>) -> bool {
        self.0.is_for(entry)
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
    /// `small` gives the leaf for each index; one of the wrong level leaves the index unmapped.
    pub fn fill<M: Mode>(
        self,
        huge: &Leaf<'_, M>,
        nx_disallowed: bool,
        small: impl Fn(usize) -> LeafSpte,
    ) -> SplitTable {
        let table = NewTable::for_entry(self.0, huge, nx_disallowed).0;
        for index in 0..ENTRIES {
            let leaf = small(index);
            let spte = if leaf.level() == table.level {
                leaf.spte()
            } else {
                spte::NONPRESENT
            };
            // SAFETY: The page is owned and has `ENTRIES` entries.
            unsafe { table.spt().add(index).write(spte.raw()) };
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
    pub(super) fn is_for<M: Mode>(&self, entry: &Entry<'_, M>) -> bool {
        self.0.is_for(entry)
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

/// A table that was just cut off from its tree.
///
/// # Invariants
///
/// No live entry links the table, and the value is the only one for it.
#[must_use = "what it still maps must be accounted, and the table retired"]
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
    /// The table that `replaced`, the value just taken out of an entry of `level`, linked, if it
    /// was a link.
    #[inline]
    pub(super) fn unlinked_from(replaced: Spte, level: Level, cx: Context<'r, M>) -> Option<Self> {
        if !replaced.is_table(level) {
            return None;
        }
        let table = Table::linked_by(replaced, level, &cx);
        // INVARIANT: Each table is linked by one entry, and that link is gone.
        Some(Self {
            table,
            page: table.page(),
            cx,
        })
    }

    /// The walk's context.
    #[inline(always)]
    pub fn cx(&self) -> Context<'r, M> {
        self.cx
    }

    /// The table's level.
    #[inline(always)]
    pub fn level(&self) -> Level {
        self.table.level
    }

    /// Tells tracepoints, accounting and NX tracking that the table is gone.
    pub fn unaccount(&self) {
        // SAFETY: The header is alive.
        unsafe { trace::prepare_zap_page(self.page.as_ptr()) };
        self.cx
            .vm()
            .account_table(self.table.cells.as_ptr().cast_mut().cast(), -1);
        self.page.untrack_possible_nx_huge_page(self.cx.vm());
    }

    /// Takes out what the entry at `index` holds, for good: it is [`FROZEN`] from then on.
    #[inline(always)]
    pub fn take(&self, index: usize) -> Option<Taken<'r, M>> {
        let level = self.level();
        let old = M::take(self.table.cell(index), level)?;
        let change = Change {
            old,
            new: FROZEN,
            gfn: self.page.gfn().add(index as u64 * level.pages()),
            level,
        };
        if let Some(table) = RemovedTable::unlinked_from(old, level, self.cx) {
            return Some(Taken::Table(change, table));
        }
        Some(if old.is_present() {
            Taken::Leaf(change)
        } else {
            Taken::Absent(change)
        })
    }

    /// Frees the table once nobody can be reading it any more.
    #[inline]
    pub fn retire(self) {
        // SAFETY: By the type's invariant nobody can find the table but readers that already have.
        unsafe { self.page.free_by_rcu() };
    }
}
