// SPDX-License-Identifier: GPL-2.0

//! Memory slots, with their dirty log.

use super::gmem::Private;
use crate::{
    atomic::{plain::AtomicU32, AtomicBool, Ordering},
    kvm::types::{AddressSpace, Gfn, GfnRange, Level, PAGE_SHIFT},
    mm::HostRange,
    world::bitmap::Bitmap,
};
use std::collections::BTreeSet;

/// What has become of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotState {
    /// Userspace has made it.
    Live = 0,
    /// It is about to go (`KVM_MEMSLOT_INVALID`): nothing new may be mapped.
    Invalid = 1,
    /// It is not there, or not yet.
    Gone = 2,
}

/// A memory slot. Both address spaces of a VM show the same host memory.
pub struct MemSlot {
    address_space: AddressSpace,
    range: GfnRange,
    /// The first frame of the host's addresses that the slot shows.
    host: Gfn,
    state: AtomicU32,
    tracked: AtomicBool,
    log: Bitmap,
    /// Whether vCPUs have dirty rings, and the slot no bitmap.
    rings: AtomicBool,
    /// The largest pages that the host's addresses allow.
    max_level: Level,
    pub(super) private: Private,
}

impl MemSlot {
    /// A slot for `range` of `address_space`.
    pub fn new(address_space: AddressSpace, range: GfnRange) -> Self {
        Self {
            address_space,
            range,
            host: range.start,
            state: AtomicU32::new(SlotState::Live as u32),
            tracked: AtomicBool::new(false),
            log: Bitmap::default(),
            rings: AtomicBool::new(false),
            max_level: Level::MAX_HUGEPAGE,
            private: Private::default(),
        }
    }

    /// The same, which shows the host's addresses from `host` on.
    pub fn showing(self, host: Gfn) -> Self {
        Self { host, ..self }
    }

    /// The host's address of `gfn`.
    pub fn host_of(&self, gfn: Gfn) -> Gfn {
        self.host.add(gfn.offset_from(self.range.start))
    }

    /// The frames that show a part of the host's `range`.
    pub fn frames_of(&self, range: GfnRange) -> GfnRange {
        let pages = self.range.end.offset_from(self.range.start);
        let shown = |host: Gfn| host.raw().saturating_sub(self.host.raw()).min(pages);
        let at = |host| self.range.start.add(shown(host));
        GfnRange::new(at(range.start), at(range.end))
    }

    /// What has become of the slot.
    pub fn state(&self) -> SlotState {
        match self.state.load(Ordering::SeqCst) {
            0 => SlotState::Live,
            1 => SlotState::Invalid,
            _ => SlotState::Gone,
        }
    }

    /// Becomes `state`.
    pub(crate) fn becomes(&self, state: SlotState) {
        self.state.store(state as u32, Ordering::SeqCst);
    }

    /// The same in host memory that is aligned to pages of `level` only.
    pub fn aligned_to(self, level: Level) -> Self {
        Self {
            max_level: level,
            ..self
        }
    }

    /// Whether guest and host addresses are so aligned to each other that the slot can have pages
    /// of `level`.
    pub fn is_aligned_for(&self, level: Level) -> bool {
        level <= self.max_level && self.is_shown_aligned_to(level)
    }

    /// Whether the slot is not shifted against what it shows, but by whole pages of `level`.
    pub fn is_shown_aligned_to(&self, level: Level) -> bool {
        let shift = self.range.start.raw().wrapping_sub(self.host.raw());
        shift % level.pages() == 0
    }

    /// The log is in the vCPUs' dirty rings, from now on.
    pub(in crate::kvm::memory) fn use_rings(&self) {
        self.rings.store(true, Ordering::SeqCst);
    }

    /// Whether it is about to go. C has another slot then in its place, which stays what it is: who has
    /// found that one must not take it for a live one when it is gone.
    pub fn is_invalid(&self) -> bool {
        self.state() != SlotState::Live
    }

    /// Whether it is the page of the APIC. No slot is.
    pub fn is_apic_access_page(&self) -> bool {
        false
    }

    /// Whether writes are logged in a bitmap, if they are logged.
    pub fn has_dirty_bitmap(&self) -> bool {
        !self.log.is_empty()
    }

    /// Whether writes are logged in a bitmap, and none to `gfn` was.
    pub fn is_logged_clean(&self, gfn: Gfn) -> bool {
        let has_bitmap = self.is_dirty_tracked() && !self.log.is_empty();
        has_bitmap && !self.log.has(gfn.offset_from(self.range.start))
    }

    /// The address space that the slot belongs to.
    pub fn address_space(&self) -> AddressSpace {
        self.address_space
    }

    /// The frames of the slot.
    pub fn range(&self) -> GfnRange {
        self.range
    }

    /// The frames of the slot of which any byte lies in `host`.
    pub fn frames_in(&self, host: HostRange) -> GfnRange {
        let start = Gfn::of_addr(host.start as u64);
        let end = Gfn::of_addr(host.end.next_multiple_of(1 << PAGE_SHIFT) as u64);
        self.frames_of(GfnRange::new(start, end))
    }

    /// The host's address of the page of `gfn`, if it lies in the slot and may be written.
    pub fn writable_host_of(&self, gfn: Gfn) -> Option<usize> {
        let there = self.range.contains(gfn) && !self.is_invalid();
        there.then(|| self.host_of(gfn).addr() as usize)
    }

    /// The host addresses of the host's `frames`.
    pub fn host_range_of(frames: GfnRange) -> HostRange {
        HostRange::new(frames.start.addr() as usize, frames.end.addr() as usize)
    }

    /// Whether writes to the slot are logged.
    pub fn is_dirty_tracked(&self) -> bool {
        self.tracked.load(Ordering::SeqCst)
    }

    /// Switches logging on or off.
    pub fn set_dirty_tracked(&self, on: bool) {
        if on && !self.rings.load(Ordering::SeqCst) {
            self.log.create(self.range);
        }
        self.tracked.store(on, Ordering::SeqCst);
    }

    /// Notes a write in the bitmap, if there is one.
    pub fn mark_dirty(&self, gfn: Gfn) {
        assert!(self.range.contains(gfn), "{gfn:?} is not in the slot");
        if self.is_dirty_tracked() {
            self.log.set(gfn.offset_from(self.range.start));
        }
    }

    /// Number of words of the log.
    pub fn log_words(&self) -> u64 {
        self.log.len()
    }

    /// Says of every page that it was written.
    pub fn fill_log(&self) {
        let pages = 0..self.range.end.offset_from(self.range.start);
        pages.for_each(|page| self.log.set(page));
    }

    /// Takes those bits of a word of the log that are set in `wanted`.
    pub(super) fn take_log_word(&self, index: usize, wanted: u64) -> u64 {
        self.log.take(index, wanted)
    }

    /// Takes the log, and makes nothing clean.
    pub fn take_log(&self) -> BTreeSet<Gfn> {
        let words = (0..self.log_words()).map(|index| self.log.take(index as usize, u64::MAX));
        self.frames_of_log(words)
    }

    /// The frames that are set in the words of the log.
    pub fn frames_of_log(&self, words: impl Iterator<Item = u64>) -> BTreeSet<Gfn> {
        let base = |index| self.range.start.add(index as u64 * 64);
        words
            .enumerate()
            .flat_map(|(index, word)| frames(base(index), word))
            .collect()
    }
}

/// The frames whose bits are set in `mask`; bit 0 is for `base`.
pub fn frames(base: Gfn, mask: u64) -> impl Iterator<Item = Gfn> {
    let set = (0..64).filter(move |bit| mask >> bit & 1 != 0);
    set.map(move |bit| base.add(bit))
}

/// What an mmu_notifier event asks for.
#[derive(Clone, Copy)]
pub struct SlotRange {
    /// The frames.
    pub range: GfnRange,
    /// The address space of their slot.
    pub address_space: AddressSpace,
    /// Whether the walk may give way to others.
    pub may_block: bool,
}
