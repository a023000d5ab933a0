// SPDX-License-Identifier: GPL-2.0

//! `struct kvm_vcpu`, as far as its page faults go.

use super::outcome::go_on;
use crate::kvm::{
    fault::outcome::{Counted, Outcome},
    lock::{MmuGuard, Shared},
    memory::{MemSlot, Vm},
    roots::Root,
    table::{Role, TableMemory, VmPage},
    types::{Gfn, Level}, //
};
use core::ptr::NonNull;
use kernel::types::Opaque;
use kvm_bindings as bindings;

/// A `struct kvm_vcpu` whose task is the current one.
#[repr(transparent)]
pub struct Vcpu(Opaque<bindings::kvm_vcpu>);

impl Vcpu {
    /// Borrows a vCPU from C.
    ///
    /// # Safety
    ///
    /// `ptr` must be a vCPU that is alive during `'a` and that the current task has loaded.
    #[inline(always)]
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::kvm_vcpu) -> &'a Self {
        // SAFETY: The vCPU is alive during `'a`, and `Vcpu` is transparent over it.
        unsafe { &*ptr.cast() }
    }

    #[inline(always)]
    pub(super) fn as_ptr(&self) -> *mut bindings::kvm_vcpu {
        self.0.get()
    }

    /// The VM.
    #[inline(always)]
    pub fn vm(&self) -> &Vm {
        // SAFETY: A vCPU's VM outlives it.
        unsafe { Vm::from_raw((*self.as_ptr()).kvm) }
    }

    #[inline(always)]
    pub(super) fn mmu(&self) -> *mut bindings::kvm_mmu {
        // SAFETY: The vCPU is alive.
        unsafe { (*self.as_ptr()).arch.mmu }
    }

    /// The role that the vCPU's root must have at present.
    #[inline(always)]
    pub fn root_role(&self) -> Role {
        // SAFETY: The MMU lives in the vCPU; only the vCPU's task changes its role.
        Role::from_raw(unsafe { (*self.mmu()).root_role })
    }

    /// The root that the vCPU has loaded. It holds a reference, so the root is there for as long
    /// as the vCPU's task does not load another.
    #[inline(always)]
    pub fn root(&self) -> Option<VmPage<'_>> {
        // SAFETY: The MMU lives in the vCPU. A root with a TDP MMU page has a header, and no entry
        // links it.
        unsafe {
            let sp = bindings::kvmrs_root_to_sp((*self.mmu()).root.hpa);
            NonNull::new(sp).map(|sp| VmPage::from_raw(self.vm(), sp.as_ptr()))
        }
    }

    /// Loads `root`, which is one of the vCPU's VM and role, and takes over its reference.
    pub(in crate::kvm::fault) fn load(&self, root: Root<'_>) {
        let sp = root.into_raw();
        // SAFETY: The MMU lives in the vCPU; only the vCPU's task changes its root.
        unsafe {
            (*self.mmu()).root.hpa = bindings::kvmrs_pa((*sp).spt.cast());
            (*self.mmu()).root.pgd = 0;
        }
    }

    /// Takes an empty table from the vCPU's caches, which were filled before `mmu_lock` was taken.
    #[inline]
    pub fn alloc_table(&self) -> TableMemory {
        let arch = self.as_ptr();
        // SAFETY: The caches are the vCPU's own. They never return NULL: when empty, C falls back
        // to an atomic allocation, and dies without memory for it. Headers come zeroed; pages
        // come full of the cache's initial value, the absent entry.
        unsafe {
            let sp =
                bindings::kvm_mmu_memory_cache_alloc(&raw mut (*arch).arch.mmu_page_header_cache);
            let spt =
                bindings::kvm_mmu_memory_cache_alloc(&raw mut (*arch).arch.mmu_shadow_page_cache);
            TableMemory::from_raw(NonNull::new_unchecked(sp.cast()), spt.cast())
        }
    }

    /// The generation of the memslots that the vCPU sees. They are held.
    #[inline(always)]
    pub(in crate::kvm::fault) fn own_memslots_generation(&self) -> u64 {
        // SAFETY: The vCPU is alive. `memslots_generation()` has seen that its VM's memslots are held, so
        // they are not replaced.
        unsafe { bindings::kvmrs_vcpu_memslots_generation(self.as_ptr()) }
    }

    /// Fills the caches that [`alloc_table`](Self::alloc_table) takes from. May sleep.
    #[inline(always)]
    pub fn fill_caches(&self) -> Result<(), Outcome> {
        if self.has_full_caches() {
            return Ok(());
        }
        let maybe_indirect = false;
        // SAFETY: The caches are the vCPU's own.
        go_on(unsafe { bindings::mmu_topup_memory_caches(self.as_ptr(), maybe_indirect) })
    }

    /// Whether there is a table for each level in the caches, which is what C fills them up for. Most faults
    /// find them so, and need not ask C.
    #[inline(always)]
    fn has_full_caches(&self) -> bool {
        const ENOUGH: i32 = Level::MAX.raw() as i32;
        let vcpu = self.as_ptr();
        // SAFETY: The caches are the vCPU's own, and the current task has loaded it.
        unsafe {
            (*vcpu).arch.mmu_page_header_cache.nobjs >= ENOUGH
                && (*vcpu).arch.mmu_shadow_page_cache.nobjs >= ENOUGH
        }
    }

    /// Takes `mmu_lock` for read, and counts for how long that takes.
    #[inline]
    pub fn mmu_read(&self) -> MmuGuard<'_, Shared> {
        // SAFETY: The VM is alive. The lock is taken for the guard alone, which drops it.
        unsafe {
            bindings::kvmrs_mmu_fault_read_lock(self.as_ptr());
            MmuGuard::just_taken(self.vm())
        }
    }

    /// Whether the vCPU runs a guest of its guest.
    #[inline(always)]
    pub fn is_guest_mode(&self) -> bool {
        // SAFETY: The vCPU is alive, and only its task changes the mode.
        unsafe { bindings::kvmrs_is_guest_mode(self.as_ptr()) }
    }

    /// Counts one more.
    #[inline(always)]
    pub fn count(&self, counted: Counted) {
        let vcpu = self.as_ptr();
        // SAFETY: The vCPU is alive. Others only read the number, or clear it.
        unsafe {
            let stat = &raw mut (*vcpu).stat;
            let count = match counted {
                Counted::Fast => &raw mut (*stat).pf_fast,
                Counted::Invalidated => &raw mut (*stat).pf_retry_invalidated,
                Counted::ObsoleteRoot => &raw mut (*stat).pf_retry_obsolete,
                Counted::InvalidSlot => &raw mut (*stat).pf_retry_memslot,
                Counted::Raced => &raw mut (*stat).pf_retry_raced,
                Counted::MmioEntry => &raw mut (*stat).pf_mmio_spte_created,
            };
            *count += 1;
        }
    }

    /// Notes in the dirty bitmap or ring that the vCPU may write to `gfn`, which lies in `slot`.
    #[inline(always)]
    pub(in crate::kvm::fault) fn mark_page_dirty_in(&self, slot: &MemSlot, gfn: Gfn) {
        // SAFETY: All are alive. `mark_page_dirty()` has seen that the slot's bitmap has a bit for
        // `gfn`. The current task runs the vCPU, whose ring is used.
        unsafe {
            bindings::mark_page_dirty_in_slot((*self.as_ptr()).kvm, slot.as_ptr(), gfn.raw())
        };
    }

    /// What the vCPU's entries look like.
    #[inline(always)]
    pub(in crate::kvm::fault) fn format(&self) -> &bindings::kvm_page_format {
        // SAFETY: The MMU lives in the vCPU; only the vCPU's task changes the format.
        unsafe { &(*self.mmu()).fmt }
    }
}
