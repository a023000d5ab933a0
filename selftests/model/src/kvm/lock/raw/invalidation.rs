// SPDX-License-Identifier: GPL-2.0

//! What C does for an invalidation. There is no APIC, and of the shadow MMU nothing but what it must
//! not be asked.

use super::MmuLock;
use crate::kvm::{memory::MemSlot, types::GfnRange, Exclusive};

impl MmuLock<'_, Exclusive> {
    pub(in crate::kvm::lock) fn invalidate_start(&mut self, frames: GfnRange) {
        self.vm().invalidations.begin();
        self.vm().invalidations.add(frames);
    }

    pub(in crate::kvm::lock) fn invalidate_end(&mut self) {
        self.vm().invalidations.end(false);
    }

    pub(in crate::kvm::lock) fn unmap_in_shadow(
        &mut self,
        slot: &MemSlot,
        frames: GfnRange,
        _may_block: bool,
    ) -> bool {
        let inside = !frames.is_empty() && slot.range().covers(frames);
        assert!(
            inside,
            "C looks up {frames:?} in a slot that they are not in"
        );
        let mut own = self.vm().slots().iter();
        assert!(
            own.any(|other| std::ptr::eq(other, slot)),
            "another VM's slot"
        );
        true
    }

    /// There is none.
    pub fn reload_apic_access_page(&self, _slot: &MemSlot) {}
}
