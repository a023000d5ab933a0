// SPDX-License-Identifier: GPL-2.0

//! The vCPU, as far as its page faults go.

use crate::kvm::{
    memory::{MemSlot, SlotsHeld, Vm},
    roots::Root,
    spte::{Spte, PAGE_SIZE},
    table::{Role, TableMemory, VmPage},
    types::{Access, Gfn, Level}, //
};
use core::ptr::{
    self,
    NonNull, //
};
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

    /// Loads `root`, whose reference the vCPU takes over.
    ///
    /// One of another VM or with another role is refused, which marks the VM as broken. It may have
    /// become invalid: then the vCPU has been told to load another.
    pub fn set_root(&self, root: Root<'_>) {
        if !ptr::eq(root.vm(), self.vm()) || !root.role().serves(self.root_role()) {
            return self.vm().bug();
        }
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

    /// The generation of the memslots that the vCPU sees. Those of another VM may be held, which
    /// marks the VM as broken.
    #[inline(always)]
    pub fn memslots_generation(&self, held: &SlotsHeld<'_>) -> u64 {
        if !ptr::eq(held.vm(), self.vm()) {
            self.vm().bug();
            return 0;
        }
        // SAFETY: The vCPU is alive, and its memslots are not replaced while they are held.
        unsafe { bindings::kvmrs_vcpu_memslots_generation(self.as_ptr()) }
    }

    /// Counts one more MMIO entry made (`pf_mmio_spte_created`).
    #[inline]
    pub fn count_mmio_spte(&self) {
        // SAFETY: Only the vCPU's task writes its statistics.
        unsafe { (*self.as_ptr()).stat.pf_mmio_spte_created += 1 };
    }

    /// Notes in the dirty bitmap or ring that the vCPU may write to `gfn` from now on. A frame
    /// outside of the slot marks the VM as broken.
    #[inline]
    pub fn mark_page_dirty(&self, slot: &MemSlot, gfn: Gfn) {
        if !slot.range().contains(gfn) {
            return self.vm().bug();
        }
        // SAFETY: All are alive, the slot's bitmap has a bit for `gfn`, and the current task runs the
        // vCPU, whose ring is used.
        unsafe {
            bindings::mark_page_dirty_in_slot((*self.as_ptr()).kvm, slot.as_ptr(), gfn.raw())
        };
    }

    /// Whether the guest may do what `error_code` says through an entry that grants `access`.
    #[inline(always)]
    pub fn permits(&self, error_code: u64, access: Access) -> bool {
        const FAULT: u64 =
            bindings::PFERR_WRITE_MASK | bindings::PFERR_USER_MASK | bindings::PFERR_FETCH_MASK;
        let index = ((error_code & FAULT) >> 1) as usize;
        // SAFETY: The MMU lives in the vCPU.
        let forbidden = unsafe { &(*self.mmu()).fmt.permissions };
        forbidden
            .get(index)
            .is_some_and(|bits| bits >> access.raw() & 1 == 0)
    }

    /// The bits of `spte` that must be zero in an entry of `level` but are not.
    pub fn reserved_bits(&self, spte: Spte, level: Level) -> u64 {
        let huge = usize::from(spte.has(PAGE_SIZE));
        // SAFETY: The MMU lives in the vCPU.
        let fmt = unsafe { &(*self.mmu()).fmt };
        let reserved = spte.raw() & fmt.rsvd_bits_mask[huge][usize::from(level.raw()) - 1];
        // The map of bad combinations knows one execute bit; EPT's second one, for user mode,
        // counts as the first.
        let mut xwr = spte.raw();
        if spte.has(bindings::VMX_EPT_USER_EXECUTABLE_MASK) {
            xwr |= bindings::VMX_EPT_EXECUTABLE_MASK;
        }
        let bad = fmt.bad_mt_xwr & (1 << (xwr & 0x3f));
        reserved | bad
    }
}
