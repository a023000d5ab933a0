// SPDX-License-Identifier: GPL-2.0

//! The VM, as far as its memory management goes.

use super::memslot::MemSlot;
use crate::kvm::types::{
    Gfn,
    GfnRange,
    Level, //
};
use kernel::types::Opaque;
use kvm_bindings as bindings;

/// A `struct kvm` on this backend. What it has in common with others is in
/// [`AnyVm`](super::AnyVm).
///
/// # Invariants
///
/// A reference is valid while C keeps the VM alive, which it does during every call of ours. The VM
/// has its [state](super::state) meanwhile.
#[repr(transparent)]
pub struct Vm(Opaque<bindings::kvm>);

// SAFETY: Every method takes the locks it needs, or accesses single words.
unsafe impl Sync for Vm {}

impl Vm {
    /// Borrows a VM from C.
    ///
    /// # Safety
    ///
    /// `ptr` must be a VM of this backend that is alive during `'a`, between its hooks `create` and
    /// `destroy`.
    #[inline(always)]
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::kvm) -> &'a Self {
        // SAFETY: The VM is alive during `'a`, and `Vm` is transparent over it.
        // INVARIANT: Between these two hooks it has its state.
        unsafe { &*ptr.cast() }
    }

    /// The C object.
    #[inline(always)]
    pub(in crate::kvm) fn as_ptr(&self) -> *mut bindings::kvm {
        self.0.get()
    }

    /// Makes all vCPUs flush their TLBs before they enter the guest again, and waits until they
    /// have left it.
    #[inline]
    pub fn flush_remote_tlbs(&self) {
        // SAFETY: The VM is alive.
        unsafe { bindings::kvm_flush_remote_tlbs(self.as_ptr()) };
    }

    /// As [`flush_remote_tlbs`](Self::flush_remote_tlbs), for the page of `level` around `gfn`.
    #[inline]
    pub fn flush_remote_tlbs_gfn(&self, gfn: Gfn, level: Level) {
        let start = gfn.round_down(level).raw();
        // SAFETY: The VM is alive.
        unsafe { bindings::kvm_flush_remote_tlbs_range(self.as_ptr(), start, level.pages()) };
    }

    /// As [`flush_remote_tlbs`](Self::flush_remote_tlbs), for the frames of `slot`.
    #[inline]
    pub fn flush_remote_tlbs_slot(&self, slot: &MemSlot) {
        // SAFETY: Both are alive. The function asks for `slots_lock` or a slot that cannot go.
        unsafe { bindings::kvm_flush_remote_tlbs_memslot(self.as_ptr(), slot.as_ptr()) };
    }

    /// Counts `count` more pages mapped at `level` (`pages_4k`, `pages_2m`, `pages_1g`). There are no
    /// pages of a higher level: one marks the VM as broken.
    #[inline(always)]
    pub fn count_pages(&self, level: Level, count: i32) {
        if level > Level::MAX_HUGEPAGE {
            return self.bug();
        }
        // SAFETY: The VM is alive, and has a number for each level up to the highest of a page.
        unsafe { bindings::kvmrs_update_page_stats(self.as_ptr(), level.raw().into(), count) };
    }

    /// Accounts `count` more page-table pages, of the kind of `table`, to the memory cgroup.
    #[inline]
    pub(in crate::kvm) fn account_table(&self, table: *mut core::ffi::c_void, count: i32) {
        // SAFETY: `table` is a page-table page, the VM is alive.
        unsafe {
            bindings::kvmrs_account_pgtable_pages(table, count);
            bindings::kvmrs_tdp_mmu_pages_add(self.as_ptr(), count);
        }
    }

    /// Whether huge pages must not be executable (the iTLB multihit workaround).
    #[inline(always)]
    pub fn nx_huge_pages(&self) -> bool {
        // SAFETY: The VM is alive.
        unsafe { bindings::kvmrs_is_nx_huge_page_enabled(self.as_ptr()) }
    }

    /// Whether the memory of `gfn` is private to the guest, by its attributes. Then only guest_memfd
    /// can provide it, if the slot has one.
    #[inline]
    pub fn is_private(&self, gfn: Gfn) -> bool {
        // SAFETY: The VM is alive.
        unsafe { bindings::kvmrs_mem_is_private(self.as_ptr(), gfn.raw()) }
    }

    /// The largest page level at which `slot` can map `gfn`, going by the slot's shape, by what is
    /// write-tracked or has mixed attributes, and by the host's page tables.
    ///
    /// `None` for a frame outside of the slot, which marks the VM as broken.
    ///
    /// Not to be asked about [private](Self::is_private) memory: C warns, as only a fault has what
    /// guest_memfd says.
    #[inline]
    pub fn max_mapping_level(&self, slot: &MemSlot, gfn: Gfn) -> Option<Level> {
        if !slot.range().contains(gfn) {
            self.bug();
            return None;
        }
        // SAFETY: Both are alive, and the slot has information on `gfn`. Without a fault the function
        // reads only.
        let level = unsafe {
            bindings::kvm_mmu_max_mapping_level(
                self.as_ptr(),
                core::ptr::null_mut(),
                slot.as_ptr(),
                gfn.raw(),
            )
        };
        Level::new(level as u32)
    }

    /// Whether a notifier is taking away memory of `range`: between the start and the end of an
    /// invalidation nothing may be mapped there.
    ///
    /// Only for [`Context`](crate::kvm::Context), which proves that `mmu_lock` is held: under it the
    /// answer does not change from no to yes.
    #[inline]
    pub(in crate::kvm) fn is_invalidating(&self, range: GfnRange) -> bool {
        let kvm = self.as_ptr();
        // SAFETY: The VM is alive. The fields are written under `mmu_lock` held for write.
        let (going_on, all) = unsafe {
            let all = [
                (*kvm).mmu_invalidate_range_start,
                (*kvm).mmu_invalidate_range_end,
            ];
            ((*kvm).mmu_invalidate_in_progress as u64, all)
        };
        if going_on == 0 {
            return false;
        }
        let record = self.state().invalidations();
        if record.count() == going_on {
            return record.is_active(range);
        }
        // Some are of C's own, and C knows only from where to where all of them are.
        GfnRange::from_raw(all).overlaps(range)
    }

    /// Marks the VM as broken, warning once: no ioctl and no vCPU will run it any further.
    /// The counterpart of a failed `KVM_BUG_ON()`.
    #[cold]
    pub fn bug(&self) {
        // SAFETY: The VM is alive.
        unsafe { bindings::kvmrs_vm_bug(self.as_ptr()) };
    }

    /// The first frame that no guest physical address can reach.
    #[inline(always)]
    pub fn gfn_end() -> Gfn {
        // SAFETY: No requirements.
        Gfn::new(unsafe { bindings::kvmrs_mmu_max_gfn() } + 1)
    }
}
