// SPDX-License-Identifier: GPL-2.0

//! Tables that everyone may reach: borrowed, never owned.

use super::{
    context::Context,
    role::Role, //
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
use core::ptr::NonNull;
use kernel::types::Opaque;
use kvm_bindings as bindings;

/// A borrowed page table: [`ENTRIES`] entries that stay allocated for `'r`.
///
/// # Invariants
///
/// `level` is the level that the table was made for: it decides which entries are links. `gfn` is
/// the first frame that the table spans: it decides for which frames there are entries.
#[derive(Clone, Copy)]
pub struct Table<'r> {
    cells: &'r [SpteCell; ENTRIES],
    gfn: Gfn,
    level: Level,
}

impl<'r> Table<'r> {
    /// The table of `level` at `spt`, whose first frame is `gfn`.
    ///
    /// # Safety
    ///
    /// `spt` must be a page table for these that is not freed during `'r`.
    #[inline(always)]
    pub(super) unsafe fn from_ptr(spt: *mut u64, gfn: Gfn, level: Level) -> Self {
        // SAFETY: `spt` is a page of `ENTRIES` entries, and `SpteCell` is transparent over one.
        let cells = unsafe { &*spt.cast() };
        // INVARIANT: `spt` was made for `level` and `gfn`.
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
        _cx: &Context<'r, M>,
    ) -> Self {
        let pa = link.raw() & masks::base_addr();
        // At the lowest level every entry is last, so there are no links to ask for.
        let below = level.below().unwrap_or(Level::PG_4K);
        // SAFETY: Links hold the address of a table one level down that begins at the entry's first
        // frame (`NewTable`, `SplitTable`), and is freed by RCU only after it was unlinked; the
        // context keeps the RCU section open for `'r`.
        unsafe { Self::from_ptr(bindings::kvmrs_va(pa).cast(), gfn, below) }
    }

    /// The table that `spte` links, if it does. It was read from the entry at `gfn` of this table.
    pub(super) fn follow(
        self,
        spte: Spte,
        gfn: Gfn,
        _vm: &'r AnyVm,
        _rcu: &'r impl Rcu,
    ) -> Option<Self> {
        let below = self.level.below().filter(|_| spte.is_table(self.level))?;
        let pa = spte.raw() & masks::base_addr();
        // SAFETY: As in `linked_by()`. C's links hold the addresses of tables too, which C frees by
        // RCU, and the section is borrowed for `'r`.
        Some(unsafe { Self::from_ptr(bindings::kvmrs_va(pa).cast(), gfn, below) })
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
        self.cells.get(gfn.index_from(self.gfn, self.level))
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
    pub(super) fn page(self) -> &'r ShadowPage {
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
    pub(in crate::kvm) unsafe fn from_raw<'a>(ptr: *mut bindings::kvm_mmu_page) -> &'a Self {
        // SAFETY: The header is not freed during `'a`, and `ShadowPage` is transparent over it.
        unsafe { &*ptr.cast() }
    }

    /// The C object.
    #[inline(always)]
    pub(in crate::kvm) fn as_ptr(&self) -> *mut bindings::kvm_mmu_page {
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
    pub(super) fn table<'r>(&'r self, _rcu: &'r impl Rcu) -> Table<'r> {
        // SAFETY: The table lives as long as its header, which is borrowed for `'r`, and has the
        // level and first frame that the header says.
        unsafe { Table::from_ptr((*self.as_ptr()).spt, self.gfn(), self.level()) }
    }

    /// Whether this is a page of ours; C's shadow MMU has others.
    #[inline(always)]
    pub fn is_tdp_mmu_page(&self) -> bool {
        // SAFETY: The header is alive, and the field is constant.
        unsafe { (*self.as_ptr()).tdp_mmu_page }
    }

    /// The memory of the entry in the parent table that links, or linked, this table. `None` for
    /// roots.
    #[inline(always)]
    pub(super) fn parent_cell(&self) -> Option<NonNull<SpteCell>> {
        // SAFETY: The header is alive, and the field is constant once it is linked.
        let ptep = unsafe { *(*self.as_ptr()).__bindgen_anon_4.ptep };
        Some(NonNull::new(ptep)?.cast())
    }

    /// Whether the header says that the entry for `gfn` in `table` links this page.
    pub(super) fn is_linked_by(&self, table: Table<'_>, gfn: Gfn) -> bool {
        // SAFETY: The header is alive, and the field is constant once it is linked.
        let ptep = unsafe { *(*self.as_ptr()).__bindgen_anon_4.ptep };
        let cell = table.cell_for(gfn);
        cell.is_some_and(|cell| cell.as_ptr() == ptep)
    }

    /// Whether `table` is this page's table.
    #[inline(always)]
    pub fn owns(&self, table: Table<'_>) -> bool {
        // SAFETY: The header is alive, and the field is constant.
        table.cells.as_ptr().cast::<u64>() == unsafe { (*self.as_ptr()).spt }
    }

    /// Puts the page on the list of those that keep KVM from mapping a huge page, unless it was
    /// zapped since it was linked.
    pub(super) fn track_possible_nx_huge_page(&self, lock: &PagesLock<'_>) {
        let vm = lock.vm().as_ptr();
        // SAFETY: The lock protects the flag and the list.
        unsafe {
            if self.nx_huge_page_disallowed().read_volatile() {
                bindings::track_possible_nx_huge_page(vm, self.as_ptr(), TDP_MMU);
            }
        }
    }

    /// The flag that says why the page is there. It is set before the page can be reached, and only
    /// ever cleared, with the pages lock held; so it is looked at without the lock, too.
    #[inline(always)]
    fn nx_huge_page_disallowed(&self) -> *mut bool {
        // SAFETY: The header is alive; this only computes an address.
        unsafe { &raw mut (*self.as_ptr()).nx_huge_page_disallowed }
    }

    /// Takes the page off that list. No other task does so with a page that was cut off.
    pub(super) fn untrack_possible_nx_huge_page(&self, vm: &Vm) {
        // SAFETY: The header is alive, and the flag is one byte. A page without the flag never gets
        // it, and no other task clears that of a page which was cut off.
        if !unsafe { self.nx_huge_page_disallowed().read_volatile() } {
            return;
        }
        let lock = vm.pages_lock();
        // SAFETY: The lock protects the flag and the list.
        unsafe {
            self.nx_huge_page_disallowed().write_volatile(false);
            bindings::untrack_possible_nx_huge_page(lock.vm().as_ptr(), self.as_ptr(), TDP_MMU);
        }
    }

    /// Frees header and table once all present RCU readers are gone.
    ///
    /// # Safety
    ///
    /// Nobody may be able to reach the page any more but RCU readers that have already started,
    /// and no one else may call this.
    pub(in crate::kvm) unsafe fn free_by_rcu(&self) {
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

/// Frees a header and its table.
///
/// # Safety
///
/// `sp` and its table must be reachable by nobody else.
pub(super) unsafe fn free(sp: *mut bindings::kvm_mmu_page) {
    // SAFETY: Both came from these allocators.
    unsafe {
        bindings::kvmrs_free_table((*sp).spt.cast());
        bindings::kvmrs_free_sp(sp);
    }
}
