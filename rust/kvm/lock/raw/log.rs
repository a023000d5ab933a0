// SPDX-License-Identifier: GPL-2.0

//! What C does for a word of a dirty log, under `mmu_lock` held for write.

use super::mmu_lock::MmuLock;
use crate::kvm::{
    lock::mode::Exclusive,
    memory::log::TakenLog,
    types::{Gfn, GfnRange}, //
};
use core::ptr;
use kvm_bindings as bindings;

impl MmuLock<'_, Exclusive> {
    /// Has both MMUs notice the next write to those pages of `taken` that are set in `mask`; bit 0 is for
    /// `base`. Pages outside of the slot, or of another VM, mark the VM as broken.
    ///
    /// C calls this module's hooks for the part of the TDP MMU. TLBs have to be flushed then, and before the lock
    /// is dropped if huge pages may be among the pages.
    pub fn rearm_word(&mut self, taken: &TakenLog<'_>, base: Gfn, mask: u64) {
        let slot = taken.slot();
        let pages = GfnRange::sized(base, u64::from(u64::BITS - mask.leading_zeros()));
        let inside = !pages.is_empty() && slot.range().covers(pages);
        if !inside || !ptr::eq(taken.vm(), self.vm()) {
            return self.vm().bug();
        }
        let offset = base.offset_from(slot.range().start);
        let (kvm, slot) = (self.vm().as_ptr(), slot.as_ptr());
        // SAFETY: The VM is alive, the slot is one of its own, and the pages lie in it. The lock is held for write, and
        // borrowed, so that nobody else relies on this hold meanwhile.
        unsafe {
            bindings::kvm_arch_mmu_enable_log_dirty_pt_masked(kvm, slot, offset, mask as usize)
        };
    }
}
