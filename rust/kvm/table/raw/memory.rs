// SPDX-License-Identifier: GPL-2.0

//! The memory of a page table that nobody can reach yet.

use super::{
    page::{free, ShadowPage},
    report,
    role::Role, //
};
use crate::kvm::{
    memory::AnyVm,
    spte::{Spte, SpteCell},
    types::{Gfn, ENTRIES}, //
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
/// The value owns both. All entries of the page are absent, but for one in a
/// [`SplitMemory`](crate::kvm::table::SplitMemory), which is linked when all are written.
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
        // SAFETY: By the section above the header is owned.
        unsafe { (*sp.as_ptr()).spt = spt };
        // INVARIANT: By the section above both were owned, and all entries are absent.
        Self(sp)
    }

    /// Allocates memory whose entries hold garbage; may sleep. `None` if there is none.
    pub(in crate::kvm::table) fn alloc_garbage() -> Option<Self> {
        // SAFETY: The caches exist as long as kvm.ko.
        let sp = NonNull::new(unsafe { bindings::kvmrs_alloc_sp() })?;
        // SAFETY: No requirements.
        let spt = unsafe { bindings::kvmrs_alloc_table() };
        if spt.is_null() {
            // SAFETY: Just allocated, and nobody knows it.
            unsafe { bindings::kvmrs_free_sp(sp.as_ptr()) };
            return None;
        }
        // SAFETY: Both are owned. `SplitMemory`, which is what asks, has all entries written before the
        // page is linked.
        Some(unsafe { Self::from_raw(sp, spt.cast()) })
    }

    /// Fills in the header: of a table that `parent` will link, or of a root.
    pub(in crate::kvm::table) fn init(&self, parent: Option<&SpteCell>, gfn: Gfn, role: Role) {
        self.page().init(parent, gfn, role);
        report::page_created(self.page());
    }

    /// The header.
    #[inline(always)]
    pub(in crate::kvm::table) fn page(&self) -> &ShadowPage {
        // SAFETY: By the type's invariant the value owns the header.
        unsafe { ShadowPage::from_raw(self.0.as_ptr()) }
    }

    /// The physical address of the page.
    #[inline(always)]
    pub(in crate::kvm::table) fn pa(&self) -> u64 {
        // SAFETY: By the type's invariant the header is owned, and its page is one of the direct map.
        unsafe { bindings::kvmrs_pa((*self.0.as_ptr()).spt.cast()) }
    }

    /// Writes the entry at `index`, which is taken modulo the table's size.
    #[inline(always)]
    pub(in crate::kvm::table) fn write(&mut self, index: usize, spte: Spte) {
        // SAFETY: By the type's invariant the page is owned. It has `ENTRIES` entries.
        unsafe {
            (*self.0.as_ptr())
                .spt
                .add(index % ENTRIES)
                .write(spte.raw())
        };
    }

    /// Gives up the memory, which others can reach now: it is no longer the value's to free.
    ///
    /// What is borrowed lasts as long as an RCU section that was opened before, or a reference to a
    /// root: who takes the page out of reach frees it by RCU.
    #[inline(always)]
    pub(in crate::kvm::table) fn publish<'r>(self, _vm: &'r AnyVm) -> &'r ShadowPage {
        // SAFETY: `Unlinked::linked()` asks, whose context borrows from an RCU section for `'r`, and `insert_root()`,
        // whose result owns a reference.
        unsafe { ShadowPage::from_raw(ManuallyDrop::new(self).0.as_ptr()) }
    }
}

impl Drop for TableMemory {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant both are owned.
        unsafe { free(self.0.as_ptr()) };
    }
}
