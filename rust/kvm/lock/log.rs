// SPDX-License-Identifier: GPL-2.0

//! A word of a dirty log in a VM with shadow pages, under `mmu_lock` held for write.

#![forbid(unsafe_code)]

use super::{
    flush::{Flush, PendingFlush},
    mode::Exclusive,
    raw::MmuLock, //
};
use crate::kvm::{
    memory::log::Part,
    types::{Gfn, GfnRange}, //
};
use core::ptr;

impl MmuLock<'_, Exclusive> {
    /// Has both MMUs notice the next write to those pages of `part` that are set in `mask`; bit 0 is for
    /// `base`. Pages outside of the slot, or of another VM, mark the VM as broken.
    ///
    /// C may drop the lock to split huge pages. So `flush`, the one that the hold owes, is carried out first. It owes
    /// one again if C has write-protected huge pages: a shadow fault that finds one protected takes it for flushed.
    pub fn rearm_word(
        &mut self,
        part: &Part<'_>,
        base: Gfn,
        mask: u64,
        flush: &mut PendingFlush<'_>,
    ) {
        flush.settle(self.vm());
        let pages = GfnRange::sized(base, u64::from(u64::BITS - mask.leading_zeros()));
        let inside = !pages.is_empty() && part.slot().range().covers(pages);
        if !inside || !ptr::eq(part.vm(), self.vm()) {
            return self.vm().bug();
        }
        if self.log_writes_to(part.slot(), base, mask) {
            flush.add(Flush::owed());
        }
    }
}
