// SPDX-License-Identifier: GPL-2.0

//! What C does for a word of a dirty log, under `mmu_lock` held for write.

use super::mmu_lock::MmuLock;
use crate::kvm::{
    lock::mode::Exclusive,
    memory::MemSlot,
    types::{Gfn, GfnRange}, //
};
use kvm_bindings as bindings;

impl MmuLock<'_, Exclusive> {
    /// Has both MMUs notice the next write to the pages of `slot` that are set in `mask`; bit 0 is for
    /// `base`. Pages outside of the slot mark the VM as broken.
    ///
    /// C calls this module's hooks for the part of the TDP MMU. TLBs have to be flushed then.
    pub fn rearm_word(&mut self, slot: &MemSlot, base: Gfn, mask: u64) {
        let pages = GfnRange::sized(base, u64::from(u64::BITS - mask.leading_zeros()));
        if pages.is_empty() || !slot.range().covers(pages) {
            return self.vm().bug();
        }
        let offset = base.offset_from(slot.range().start);
        let (kvm, slot) = (self.vm().as_ptr(), slot.as_ptr());
        // SAFETY: The VM is alive, the slot too, and the pages lie in it. The lock is held for write, and
        // borrowed, so that nobody else relies on this hold meanwhile.
        unsafe {
            bindings::kvm_arch_mmu_enable_log_dirty_pt_masked(kvm, slot, offset, mask as usize)
        };
    }
}
