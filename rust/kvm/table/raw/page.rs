// SPDX-License-Identifier: GPL-2.0

//! `struct kvm_mmu_page`, the header of a page table.

use super::{
    cells::Cells,
    role::Role, //
};
use crate::kvm::{
    lock::PagesLock,
    memory::AnyVm,
    spte::SpteCell,
    types::Gfn, //
};
use core::mem::ManuallyDrop;
use kernel::types::Opaque;
use kvm_bindings as bindings;

/// The header of a live page table, a `struct kvm_mmu_page`.
///
/// # Invariants
///
/// A reference is valid as long as the table it belongs to is.
#[repr(transparent)]
pub struct ShadowPage(Opaque<bindings::kvm_mmu_page>);

// SAFETY: What others may write is accessed by single volatile loads and stores, or under the locks
// named below.
unsafe impl Sync for ShadowPage {}

impl<'r> Cells<'r> {
    /// The table's header.
    #[inline(always)]
    pub(in crate::kvm::table) fn page(self) -> &'r ShadowPage {
        // SAFETY: Each live table's `struct page` points to its header, which is freed with it.
        unsafe { &*bindings::kvmrs_sp_of(self.all().as_ptr().cast()).cast() }
    }
}

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

    /// Replaces the role. Aging, which has RCU alone, reads it meanwhile by a volatile load.
    #[inline(always)]
    pub(in crate::kvm) fn set_role(&self, role: Role) {
        // SAFETY: The header is alive, and the role is one word.
        unsafe { (&raw mut (*self.as_ptr()).role).write_volatile(role.into_raw()) };
    }

    /// The first frame that the table spans.
    #[inline(always)]
    pub fn gfn(&self) -> Gfn {
        // SAFETY: The header is alive, and the field is constant once it is linked.
        Gfn::new(unsafe { (*self.as_ptr()).gfn })
    }

    /// The table's memory.
    #[inline(always)]
    pub(in crate::kvm::table) fn cells(&self) -> Cells<'_> {
        // SAFETY: The table lives as long as its header, and the field is constant.
        unsafe { Cells::from_ptr((*self.as_ptr()).spt) }
    }

    #[inline(always)]
    fn ptep(&self) -> *mut u64 {
        // SAFETY: The header is alive, and the field is constant once it is linked.
        unsafe { *(*self.as_ptr()).__bindgen_anon_4.ptep }
    }

    /// Whether `cell` is the entry that links, or linked, this table.
    #[inline(always)]
    pub(in crate::kvm::table) fn is_linked_from(&self, cell: &SpteCell) -> bool {
        cell.as_ptr() == self.ptep()
    }

    /// The entry that links, or linked, this table of `vm`. `None` for roots.
    #[inline(always)]
    pub(in crate::kvm::table) fn parent_cell<'r>(&self, _vm: &'r AnyVm) -> Option<&'r SpteCell> {
        // SAFETY: `VmPage` is what asks. By its invariant the table with the entry is there.
        unsafe { self.ptep().cast::<SpteCell>().as_ref() }
    }

    /// Whether the page keeps KVM from mapping a huge page. It is set before the page can be reached,
    /// and only ever cleared, with the pages lock held; so it is looked at without the lock, too.
    #[inline(always)]
    pub(in crate::kvm::table) fn is_nx_disallowed(&self) -> bool {
        // SAFETY: The header is alive, and the flag is one byte.
        unsafe { (&raw const (*self.as_ptr()).nx_huge_page_disallowed).read_volatile() }
    }

    /// As above; sets it before the page can be reached, or clears it under the pages lock.
    #[inline(always)]
    pub(in crate::kvm::table) fn set_nx_disallowed(&self, disallowed: bool) {
        // SAFETY: The header is alive, and the flag is one byte.
        unsafe {
            (&raw mut (*self.as_ptr()).nx_huge_page_disallowed).write_volatile(disallowed);
        }
    }

    /// Puts the page on the list of those that keep KVM from mapping a huge page.
    #[inline(always)]
    pub(in crate::kvm::table) fn add_to_nx_list(&self, lock: &PagesLock<'_>) {
        // SAFETY: Both are alive, and the lock protects the list.
        unsafe {
            bindings::track_possible_nx_huge_page(lock.vm().as_ptr(), self.as_ptr(), TDP_MMU);
        }
    }

    /// Takes the page off that list, if it is on it.
    #[inline(always)]
    pub(in crate::kvm::table) fn remove_from_nx_list(&self, lock: &PagesLock<'_>) {
        // SAFETY: Both are alive, and the lock protects the list.
        unsafe {
            bindings::untrack_possible_nx_huge_page(lock.vm().as_ptr(), self.as_ptr(), TDP_MMU);
        }
    }

    /// Fills in the header, before the page can be reached: that of a table to be linked from `parent`,
    /// or of a root.
    pub(super) fn init(&self, parent: Option<&SpteCell>, gfn: Gfn, role: Role) {
        let sp = self.as_ptr();
        let ptep = parent.map_or(core::ptr::null_mut(), SpteCell::as_ptr);
        // SAFETY: `TableMemory`, which is what asks, owns the header and its table, a page of its own.
        unsafe {
            bindings::kvmrs_list_init(&raw mut (*sp).possible_nx_huge_page_link);
            bindings::kvmrs_set_sp_of((*sp).spt.cast(), sp);
            (*sp).role = role.into_raw();
            (*sp).gfn = gfn.raw();
            (*sp).__bindgen_anon_4.ptep = ManuallyDrop::new(ptep);
            (*sp).tdp_mmu_page = true;
        }
    }

    /// Frees header and table once all present RCU readers are gone.
    ///
    /// Only for who has made the page unreachable: by taking out its link (`RemovedTable`), or by
    /// taking a root without references off the list. Readers that have already started may still
    /// look at it.
    pub(in crate::kvm) fn free_by_rcu(&self, _vm: &AnyVm) {
        // SAFETY: The header is alive, its `rcu_head` is for this alone, and the module stays
        // until `rcu_barrier()` in its exit. There is one link to a table, and one last reference to
        // a root, so this is called once.
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
    // SAFETY: `head` lies in the header that `free_by_rcu()` handed to `call_rcu()`. Who could still reach it then
    // has ended its section.
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
    // SAFETY: By the section above nobody else can reach them. All headers and tables come from these allocators.
    unsafe {
        bindings::kvmrs_free_table((*sp).spt.cast());
        bindings::kvmrs_free_sp(sp);
    }
}
