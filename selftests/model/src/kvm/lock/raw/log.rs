// SPDX-License-Identifier: GPL-2.0

//! `kvm_mmu_enable_log_dirty_pt_masked()`. There is no shadow MMU.

use super::MmuLock;
use crate::{
    kvm::{Exclusive, Gfn, GfnRange, Level, MemSlot},
    tdp_mmu::{
        dirty::{clear_dirty_masked, write_protect_gfn, LogBy},
        split::try_split_huge_pages,
    },
};

impl MmuLock<'_, Exclusive> {
    /// Has the next write to those pages noticed that are set in `mask`. Returns whether huge pages were
    /// write-protected.
    pub(in crate::kvm::lock) fn log_writes_to(
        &mut self,
        slot: &MemSlot,
        base: Gfn,
        mask: u64,
    ) -> bool {
        let pages = GfnRange::new(
            base.add(mask.trailing_zeros().into()),
            base.add(u64::from(u64::BITS - mask.leading_zeros())),
        );
        assert!(slot.range().covers(pages), "{pages:?} is not in the slot");
        let vm = self.vm();
        let mut protected = false;
        if vm.logs_begin_dirty() {
            if vm.splits_eagerly() {
                try_split_huge_pages(self, slot, pages, Level::PG_4K);
            }
            for gfn in [pages.start, pages.end.prev()] {
                protected |= write_protect_gfn(self, slot, gfn, Level::PG_2M).into_caller();
            }
        }
        let log_by = match vm.has_cpu_dirty_log() {
            true => LogBy::DirtyBits,
            false => LogBy::WriteProtection,
        };
        clear_dirty_masked(self, slot, base, mask, log_by);
        protected
    }
}
