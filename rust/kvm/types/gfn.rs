// SPDX-License-Identifier: GPL-2.0

//! Guest and host frame numbers, and ranges of guest frames.

#![forbid(unsafe_code)]

use super::level::{
    Level,
    ENTRIES, //
};

/// log2 of the size of a base page in bytes.
pub const PAGE_SHIFT: u32 = 12;

/// A guest frame number: a guest physical address in units of 4 KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Gfn(u64);

impl Gfn {
    /// Wraps a raw `gfn_t`.
    #[inline(always)]
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The raw `gfn_t`.
    #[inline(always)]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// The frame that holds the guest physical address `gpa` (bytes).
    #[inline(always)]
    pub const fn of_addr(gpa: u64) -> Self {
        Self(gpa >> PAGE_SHIFT)
    }

    /// The guest physical address (bytes) of the frame's first byte.
    #[inline(always)]
    pub const fn addr(self) -> u64 {
        self.0 << PAGE_SHIFT
    }

    /// The frame `pages` further on. Wraps, as C does: a range's end is compared, never mapped.
    #[inline(always)]
    pub const fn add(self, pages: u64) -> Self {
        Self(self.0.wrapping_add(pages))
    }

    /// The frame before this one. Wraps, as [`add`](Self::add) does.
    #[inline(always)]
    pub const fn prev(self) -> Self {
        Self(self.0.wrapping_sub(1))
    }

    /// Index of the frame's entry in a table of `level` whose first frame is `base`.
    ///
    /// Nothing is taken modulo the table's size, as `SPTE_INDEX` does: for a frame that the table
    /// does not span, the index is not that of an entry, but [`ENTRIES`] or more.
    #[inline(always)]
    pub const fn index_from(self, base: Gfn, level: Level) -> usize {
        self.offset_from(base).wrapping_shr(level.shift()) as usize
    }

    /// Index of the frame's entry in the table of `level` that spans it. For a table that does not, it is that of
    /// another frame's entry: only [`Entry::towards`](crate::kvm::Entry::towards) asks, which has gone down to the table.
    #[inline(always)]
    pub const fn index_at(self, level: Level) -> usize {
        self.0.wrapping_shr(level.shift()) as usize % ENTRIES
    }

    /// The first frame of the page of `level` that contains this one.
    #[inline(always)]
    pub const fn round_down(self, level: Level) -> Self {
        Self(self.0 & level.pages().wrapping_neg())
    }

    /// Number of frames from `base` to this one. Wraps if `base` is above it.
    #[inline(always)]
    pub const fn offset_from(self, base: Gfn) -> u64 {
        self.0.wrapping_sub(base.0)
    }
}

/// A host page frame number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Pfn(u64);

impl Pfn {
    /// Wraps a raw `kvm_pfn_t`.
    #[inline(always)]
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The raw `kvm_pfn_t`.
    #[inline(always)]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// The physical address (bytes) of the frame's first byte.
    #[inline(always)]
    pub const fn addr(self) -> u64 {
        self.0 << PAGE_SHIFT
    }
}

/// A half-open range of guest frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GfnRange {
    /// The first frame.
    pub start: Gfn,
    /// The first frame behind the range.
    pub end: Gfn,
}

impl GfnRange {
    /// Every frame there can be.
    pub const ALL: Self = Self::from_raw([0, u64::MAX]);

    /// Wraps two raw `gfn_t`, the first frame and the first behind the range.
    #[inline(always)]
    pub const fn from_raw([start, end]: [u64; 2]) -> Self {
        Self::new(Gfn::new(start), Gfn::new(end))
    }

    /// The two raw `gfn_t`.
    #[inline(always)]
    pub const fn raw(self) -> [u64; 2] {
        [self.start.raw(), self.end.raw()]
    }

    /// The frames from `start` up to but not including `end`.
    #[inline(always)]
    pub const fn new(start: Gfn, end: Gfn) -> Self {
        Self { start, end }
    }

    /// The single frame `gfn`.
    #[inline(always)]
    pub const fn one(gfn: Gfn) -> Self {
        Self::new(gfn, gfn.add(1))
    }

    /// The `pages` frames from `start` on.
    #[inline(always)]
    pub const fn sized(start: Gfn, pages: u64) -> Self {
        Self::new(start, start.add(pages))
    }

    /// The part of the range below `end`.
    #[inline(always)]
    pub fn clamp_end(self, end: Gfn) -> Self {
        Self::new(self.start, self.end.min(end))
    }

    /// Whether one entry of `level` spans the whole range, which must not be empty.
    #[inline(always)]
    pub fn within_one(self, level: Level) -> bool {
        self.start.round_down(level) == self.end.prev().round_down(level)
    }

    /// Whether `gfn` lies within.
    #[inline(always)]
    pub fn contains(self, gfn: Gfn) -> bool {
        self.start <= gfn && gfn < self.end
    }

    /// Whether all frames of `other` lie within.
    #[inline(always)]
    pub fn covers(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Whether a frame lies within both, neither of which may be empty.
    #[inline(always)]
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// The smallest range that has the frames of both.
    #[inline(always)]
    pub fn hull(self, other: Self) -> Self {
        Self::new(self.start.min(other.start), self.end.max(other.end))
    }

    /// Whether there is no frame in the range.
    #[inline(always)]
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }
}
