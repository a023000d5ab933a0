// SPDX-License-Identifier: GPL-2.0

//! What C does for an invalidation. There is no shadow MMU, and no APIC.

use super::MmuLock;
use crate::kvm::{memory::MemSlot, types::GfnRange, Exclusive};

impl MmuLock<'_, Exclusive> {
    pub(in crate::kvm::lock) fn invalidate_start(&mut self, frames: GfnRange) {
        self.vm().invalidations.begin();
        self.vm().invalidations.add(frames);
    }

    pub(in crate::kvm::lock) fn invalidate_end(&mut self) -> u64 {
        self.vm().invalidations.end(false);
        self.vm().invalidations.snapshot()
    }

    pub(in crate::kvm::lock) fn has_shadow_entries(&self) -> bool {
        false
    }

    pub(in crate::kvm::lock) fn unmap_in_shadow(
        &mut self,
        _slot: &MemSlot,
        _frames: GfnRange,
        _may_block: bool,
    ) -> bool {
        false
    }

    pub(in crate::kvm::lock) fn reload_apic_page(&self, _slot: &MemSlot) {}
}
