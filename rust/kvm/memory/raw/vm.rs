// SPDX-License-Identifier: GPL-2.0

//! `struct kvm`, as far as its memory management goes.

use crate::kvm::{
    memory::{any_vm::AnyVm, memslot::MemSlot},
    types::{Gfn, GfnRange, Level}, //
};
use core::ops::Deref;
use kvm_bindings as bindings;

/// A `struct kvm` on this backend.
///
/// # Invariants
///
/// A reference is valid while C keeps the VM alive, which it does during every call of ours. The VM
/// has its [state](crate::kvm::VmState) meanwhile.
#[repr(transparent)]
pub struct Vm(AnyVm);

impl Vm {
    /// Borrows a VM from C.
    ///
    /// # Safety
    ///
    /// `ptr` must be a VM of this backend that is alive during `'a`, between its hooks `create` and
    /// `destroy`.
    #[inline(always)]
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::kvm) -> &'a Self {
        // SAFETY: The VM is alive during `'a`. `Vm` is transparent over `AnyVm`, and that over the VM. C
        // gives no VM to a backend without a TDP MMU, or with mirror roots.
        // INVARIANT: Between these two hooks it has its state.
        unsafe { &*ptr.cast() }
    }

    /// Makes all vCPUs flush their TLBs before they enter the guest again, and waits until they
    /// have left it.
    #[inline]
    pub fn flush_remote_tlbs(&self) {
        // SAFETY: The VM is alive.
        unsafe { bindings::kvm_flush_remote_tlbs(self.as_ptr()) };
    }

    /// The same for the `pages` frames from `start` on.
    #[inline(always)]
    pub(in crate::kvm::memory) fn flush_remote_tlbs_range(&self, start: Gfn, pages: u64) {
        // SAFETY: The VM is alive.
        unsafe { bindings::kvm_flush_remote_tlbs_range(self.as_ptr(), start.raw(), pages) };
    }

    /// As [`flush_remote_tlbs`](Self::flush_remote_tlbs), for the frames of `slot`.
    #[inline]
    pub fn flush_remote_tlbs_slot(&self, slot: &MemSlot) {
        // SAFETY: Both are alive. C asks for `slots_lock` so that flushes of a slot follow each other. What it reads
        // of the slot does not change.
        unsafe { bindings::kvm_flush_remote_tlbs_memslot(self.as_ptr(), slot.as_ptr()) };
    }

    /// Counts `count` more changes whose flush was another's as well.
    #[inline(always)]
    pub(in crate::kvm) fn count_merged_flushes(&self, count: u64) {
        // SAFETY: The VM is alive.
        unsafe { bindings::kvmrs_count_merged_flushes(self.as_ptr(), count) };
    }

    /// Counts `count` more pages mapped at `level`, which is one that pages have.
    #[inline(always)]
    pub(in crate::kvm::memory) fn update_page_stats(&self, level: Level, count: i32) {
        // SAFETY: The VM is alive. `count_pages()` has seen that it has a number for the level.
        unsafe { bindings::kvmrs_update_page_stats(self.as_ptr(), level.raw().into(), count) };
    }

    /// Whether the shadow MMU may have entries, by the slots' lists of them: it did once. Entries that were
    /// there when a lock was taken, or when a bit was set that was seen, imply it.
    #[inline(always)]
    pub fn has_rmaps(&self) -> bool {
        // SAFETY: The VM is alive.
        unsafe { bindings::kvmrs_has_rmaps(self.as_ptr()) }
    }

    /// Whether a dirty log begins with every page dirty, and userspace makes them clean.
    #[inline]
    pub fn logs_begin_dirty(&self) -> bool {
        // SAFETY: The VM is alive.
        unsafe { bindings::kvmrs_logs_begin_dirty(self.as_ptr()) }
    }

    /// Whether huge pages are split as soon as small ones are made clean (`eager_page_split`).
    #[inline]
    pub fn splits_eagerly(&self) -> bool {
        // SAFETY: No requirements.
        unsafe { bindings::kvmrs_splits_eagerly() }
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

    /// The largest page level at which `slot` can map `gfn`, which lies in it.
    #[inline(always)]
    pub(in crate::kvm::memory) fn host_mapping_level(
        &self,
        slot: &MemSlot,
        gfn: Gfn,
    ) -> Option<Level> {
        // SAFETY: Both are alive. `max_mapping_level()` has seen that the slot has information on `gfn`.
        // Without a fault the function reads only.
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

    /// How many notifiers have taken away memory. Written under `mmu_lock` held for write. May wrap.
    #[inline(always)]
    pub(in crate::kvm) fn invalidations_ended(&self) -> u64 {
        // SAFETY: The VM is alive, and the count is one word.
        unsafe { (&raw const (*self.as_ptr()).mmu_invalidate_seq).read_volatile() as u64 }
    }

    /// How many notifiers are taking away memory. Written under `mmu_lock` held for write.
    #[inline(always)]
    pub(in crate::kvm::memory) fn invalidations_going_on(&self) -> u64 {
        // SAFETY: The VM is alive, and the count is one word.
        unsafe { (&raw const (*self.as_ptr()).mmu_invalidate_in_progress).read_volatile() as u64 }
    }

    /// The frames of which they do. Written under `mmu_lock` held for write.
    #[inline(always)]
    pub(in crate::kvm::memory) fn invalidated_range(&self) -> GfnRange {
        let kvm = self.as_ptr();
        // SAFETY: The VM is alive, and each end of the range is one word.
        let (start, end) = unsafe {
            (
                (&raw const (*kvm).mmu_invalidate_range_start).read_volatile(),
                (&raw const (*kvm).mmu_invalidate_range_end).read_volatile(),
            )
        };
        GfnRange::new(Gfn::new(start), Gfn::new(end))
    }

    /// Whether the guest's accesses to its APIC may go to the page for that (`kvm_apicv_activated()`).
    #[inline]
    pub fn is_apicv_active(&self) -> bool {
        // SAFETY: The VM is alive.
        unsafe { bindings::kvm_apicv_activated(self.as_ptr()) }
    }

    /// Marks the VM as broken, warning once: no ioctl and no vCPU will run it any further.
    /// The counterpart of a failed `KVM_BUG_ON()`.
    #[cold]
    pub fn bug(&self) {
        // SAFETY: The VM is alive.
        unsafe { bindings::kvmrs_vm_bug(self.as_ptr()) };
    }

    /// The last frame that a guest physical address can reach.
    #[inline(always)]
    pub(in crate::kvm::memory) fn max_gfn() -> Gfn {
        // SAFETY: No requirements.
        Gfn::new(unsafe { bindings::kvmrs_mmu_max_gfn() })
    }
}

/// A VM of the module's own is one of all.
impl Deref for Vm {
    type Target = AnyVm;

    #[inline(always)]
    fn deref(&self) -> &AnyVm {
        &self.0
    }
}
