// SPDX-License-Identifier: GPL-2.0

//! What the MMU asks about a page fault before it looks up the page.

#![forbid(unsafe_code)]

use super::raw::PageFault;
use crate::kvm::spte::masks;

impl PageFault<'_> {
    /// Whether it was a write to a frame to which writes are tracked. Mapping cannot help it.
    ///
    /// Faults on MMIO entries are none, whatever else they say.
    #[inline(always)]
    pub fn is_tracked_write(&self) -> bool {
        let write = !self.is_reserved() && self.is_present() && self.is_write();
        write && self.is_frame_write_tracked()
    }

    /// Whether the guest takes the frame for private memory and its attributes do not, or the other
    /// way round. An attribute that changes is an invalidation, so a snapshot is to come first.
    #[inline(always)]
    pub fn contradicts_attributes(&self) -> bool {
        self.is_private() != self.vcpu().vm().is_private(self.gfn())
    }

    /// Whether changing rights of an entry that maps memory may be all that is needed
    /// (`page_fault_can_be_fast()`).
    ///
    /// - A write may have met write protection.
    /// - Without accessed bits an entry that is not there may be one that was made inaccessible.
    /// - A reserved bit means an MMIO entry of another generation, which has to be made again.
    /// - What contradicts the memory's attributes is for userspace. A second look, after a snapshot,
    ///   decides.
    #[inline(always)]
    pub fn may_be_fast(&self) -> bool {
        let may_help = if self.is_present() {
            self.is_write()
        } else {
            !masks::ad_enabled()
        };
        may_help && !self.is_reserved() && !self.contradicts_attributes()
    }
}
