// SPDX-License-Identifier: GPL-2.0

//! What the MMU asks about a page fault, and what it refuses.

#![forbid(unsafe_code)]

use super::raw::{
    PageFault,
    Vcpu, //
};
use crate::kvm::{
    memory::MemSlot,
    types::{Gfn, NxHugePage}, //
};

impl PageFault<'_> {
    /// What the NX workaround says to a huge page for this fault.
    #[inline(always)]
    pub fn nx_huge_page(&self) -> NxHugePage {
        if self.is_huge_page_disallowed() {
            NxHugePage::Disallowed
        } else {
            NxHugePage::Allowed
        }
    }

    /// Tells the shadow MMU that `gfn` is about to become writable.
    ///
    /// Returns whether it must stay write-protected instead, because the shadow MMU or an external
    /// user tracks writes to it. A frame outside of the slot must, and marks the VM as broken.
    #[inline]
    pub fn must_write_protect(&self, vcpu: &Vcpu, slot: &MemSlot, gfn: Gfn) -> bool {
        if !slot.range().contains(gfn) {
            vcpu.vm().bug();
            return true;
        }
        self.is_write_tracked(vcpu, slot, gfn)
    }
}
