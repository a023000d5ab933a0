// SPDX-License-Identifier: GPL-2.0

//! What C does for an invalidation, under `mmu_lock` held for write.

use super::mmu_lock::MmuLock;
use crate::kvm::{
    lock::mode::Exclusive,
    memory::{raw_range, MemSlot, ShadowWalk},
    types::GfnRange, //
};
use kvm_bindings as bindings;

impl MmuLock<'_, Exclusive> {
    /// Counts one more invalidation as going on, and adds `frames` to C's range.
    #[inline(always)]
    pub(in crate::kvm::lock) fn invalidate_start(&mut self, frames: GfnRange) {
        let kvm = self.vm().as_ptr();
        let [start, end] = frames.raw();
        // SAFETY: The VM is alive, and its lock is held for write.
        unsafe {
            bindings::kvm_mmu_invalidate_start(kvm);
            bindings::kvm_mmu_invalidate_range_add(kvm, start, end);
        }
    }

    /// Counts one less as going on.
    #[inline(always)]
    pub(in crate::kvm::lock) fn invalidate_end(&mut self) {
        // SAFETY: The VM is alive, and its lock is held for write.
        unsafe { bindings::kvm_mmu_invalidate_end(self.vm().as_ptr()) };
    }

    /// Zaps what the shadow MMU maps of `frames`, which lie in `slot`. May drop the lock for a while
    /// if it may block. Returns whether a flush is owed.
    #[inline(always)]
    pub(in crate::kvm::lock) fn unmap_in_shadow(
        &mut self,
        slot: &MemSlot,
        frames: GfnRange,
        may_block: bool,
    ) -> bool {
        let walk = ShadowWalk::Locked { may_block };
        let Some(mut range) = raw_range(slot, frames, walk) else {
            return false;
        };
        // SAFETY: The VM is alive, the slot too, and the frames lie in it. The lock is held for write.
        unsafe { bindings::kvm_shadow_mmu_unmap_gfn_range(self.vm().as_ptr(), &raw mut range) }
    }

    /// Makes vCPUs look up the page of the APIC again, if `slot` is what backs it.
    #[inline(always)]
    pub fn reload_apic_access_page(&self, slot: &MemSlot) {
        // SAFETY: Both are alive.
        unsafe { bindings::kvm_mmu_reload_apic_access_page(self.vm().as_ptr(), slot.as_ptr()) };
    }
}
