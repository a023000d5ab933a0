// SPDX-License-Identifier: GPL-2.0

//! What C does for a word of a dirty log, under `mmu_lock` held for write.

use super::mmu_lock::MmuLock;
use crate::kvm::{
    lock::mode::Exclusive,
    memory::MemSlot,
    types::Gfn, //
};
use kvm_bindings as bindings;

impl MmuLock<'_, Exclusive> {
    /// Has both MMUs notice the next write to those pages that are set in `mask`; bit 0 is for `base`. They lie in
    /// `slot`, which is one of the VM's. Returns whether huge pages were write-protected.
    ///
    /// C may drop the lock, and calls this module's hooks for the part of the TDP MMU.
    pub(in crate::kvm::lock) fn log_writes_to(
        &mut self,
        slot: &MemSlot,
        base: Gfn,
        mask: u64,
    ) -> bool {
        let offset = base.offset_from(slot.range().start);
        let (kvm, slot) = (self.vm().as_ptr(), slot.as_ptr());
        // SAFETY: The VM is alive, the slot is one of its own, and the pages lie in it. The lock is held for write, and
        // borrowed, so that nobody else relies on this hold meanwhile.
        unsafe { bindings::kvm_mmu_enable_log_dirty_pt_masked(kvm, slot, offset, mask as usize) }
    }
}
