// SPDX-License-Identifier: GPL-2.0

//! What the MMU asks a VM, beyond what its fields say.

#![forbid(unsafe_code)]

use super::{
    any_vm::AnyVm,
    memslot::MemSlot,
    raw::Vm, //
};
use crate::kvm::{
    spte::{masks, Spte},
    types::{Gfn, GfnRange, Level}, //
};

impl AnyVm {
    /// Whether `spte` stands for emulated MMIO (`is_mmio_spte`).
    #[inline(always)]
    pub fn is_mmio_spte(&self, spte: Spte) -> bool {
        spte.raw() & masks::mmio() == self.mmio_value() && masks::mmio_caching()
    }
}

impl Vm {
    /// As [`flush_remote_tlbs`](Self::flush_remote_tlbs), for the page of `level` around `gfn`.
    #[inline]
    pub fn flush_remote_tlbs_gfn(&self, gfn: Gfn, level: Level) {
        self.flush_remote_tlbs_range(gfn.round_down(level), level.pages());
    }

    /// Counts `count` more pages mapped at `level` (`pages_4k`, `pages_2m`, `pages_1g`). There are no
    /// pages of a higher level: one marks the VM as broken.
    #[inline(always)]
    pub fn count_pages(&self, level: Level, count: i32) {
        if level > Level::MAX_HUGEPAGE {
            return self.bug();
        }
        self.update_page_stats(level, count);
    }

    /// The largest page level at which `slot` can map `gfn`, going by the slot's shape, by what is
    /// write-tracked or has mixed attributes, and by the host's page tables.
    ///
    /// `None` for a frame outside of the slot, which marks the VM as broken.
    ///
    /// Not to be asked about [private](Self::is_private) memory: C warns, as only a fault has what
    /// guest_memfd says.
    #[inline(always)]
    pub fn max_mapping_level(&self, slot: &MemSlot, gfn: Gfn) -> Option<Level> {
        if !slot.range().contains(gfn) {
            self.bug();
            return None;
        }
        self.host_mapping_level(slot, gfn)
    }

    /// Whether a notifier is taking away memory of `range`: between the start and the end of an
    /// invalidation nothing may be mapped there.
    ///
    /// With `mmu_lock` held, as a [`Context`](crate::kvm::Context) proves, a no stays one. Without it the
    /// answer is a hint.
    #[inline(always)]
    pub(in crate::kvm) fn is_invalidating(&self, range: GfnRange) -> bool {
        let going_on = self.invalidations_going_on();
        going_on != 0 && self.is_one_for(range, going_on)
    }

    /// Whether one of the `going_on` is for a frame of `range`. Seldom asked: out of the way of faults.
    #[cold]
    #[inline(never)]
    fn is_one_for(&self, range: GfnRange, going_on: u64) -> bool {
        // C knows from where to where all of them are, once it was told.
        let known = self.invalidated_range();
        if !known.is_empty() && !range.overlaps(known) {
            return false;
        }
        // Those that the record does not have are C's own.
        let record = self.record();
        record.count() != going_on || record.is_active(range)
    }

    /// Whether the page of a frame of `range` may have gone since `ended` invalidations had ended: one is
    /// taking it away, or one that did has ended since.
    ///
    /// With `mmu_lock` held a no stays one. Without it the answer may be wrong either way.
    #[inline(always)]
    pub(in crate::kvm) fn is_stale(&self, ended: u64, range: GfnRange) -> bool {
        let now = self.invalidations_ended();
        self.is_invalidating(range) || now != ended && self.has_ended_since(ended, now, range)
    }

    /// As [`is_one_for`](Self::is_one_for), of those that have ended.
    #[cold]
    #[inline(never)]
    fn has_ended_since(&self, ended: u64, now: u64, range: GfnRange) -> bool {
        self.record().has_ended(ended, now, range)
    }

    /// The first frame that no guest physical address can reach.
    #[inline(always)]
    pub fn gfn_end() -> Gfn {
        Self::max_gfn().add(1)
    }
}
