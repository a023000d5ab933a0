// SPDX-License-Identifier: GPL-2.0

//! The field's units: guest and host frame numbers, page-table levels, ranges.
//!
//! Nothing here touches the kernel, so the model compiles this very file.

/// log2 of the size of a base page in bytes.
pub const PAGE_SHIFT: u32 = 12;
/// log2 of the number of entries in a page table.
const LEVEL_BITS: u32 = 9;
/// Number of entries in a page table.
pub const ENTRIES: usize = 1 << LEVEL_BITS;

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

    /// The first frame of the page of `level` that contains this one.
    #[inline(always)]
    pub const fn round_down(self, level: Level) -> Self {
        Self(self.0 & level.pages().wrapping_neg())
    }

    /// Number of frames from `base` to this one; `base` must not be above it.
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
}

/// A level of the paging structure: that of the table an entry sits in.
///
/// # Invariants
///
/// Between 1 (4 KiB) and 5, `PT64_ROOT_MAX_LEVEL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Level(u8);

impl Level {
    /// Entries that map 4 KiB.
    pub const PG_4K: Self = Self(1);
    /// Entries that map 2 MiB or point to a table of 4 KiB entries.
    pub const PG_2M: Self = Self(2);
    /// Entries that map 1 GiB or point to a table of 2 MiB entries.
    pub const PG_1G: Self = Self(3);
    /// The largest page that KVM maps (`KVM_MAX_HUGEPAGE_LEVEL`).
    pub const MAX_HUGEPAGE: Self = Self::PG_1G;
    /// The highest level a root can have (`PT64_ROOT_MAX_LEVEL`).
    pub const MAX: Self = Self(5);

    /// The level with number `raw`, which is 1 for 4 KiB, if there is such a level.
    #[inline(always)]
    pub const fn new(raw: u32) -> Option<Self> {
        if raw >= 1 && raw <= Self::MAX.0 as u32 {
            // INVARIANT: Just checked.
            Some(Self(raw as u8))
        } else {
            None
        }
    }

    /// The level's number, as C's `enum pg_level` and the roles count.
    #[inline(always)]
    pub const fn raw(self) -> u8 {
        self.0
    }

    /// The level of the tables that entries of this level point to.
    #[inline(always)]
    pub const fn below(self) -> Option<Self> {
        Self::new(self.0 as u32 - 1)
    }

    /// The level of the entry that points to a table of this level.
    #[inline(always)]
    pub const fn above(self) -> Option<Self> {
        Self::new(self.0 as u32 + 1)
    }

    // By the type's invariant nothing below wraps; "wrapping" keeps overflow checks out of walks.

    #[inline(always)]
    const fn shift(self) -> u32 {
        (self.0 as u32).wrapping_sub(1).wrapping_mul(LEVEL_BITS)
    }

    /// Number of guest frames that one entry of this level spans (`KVM_PAGES_PER_HPAGE`).
    #[inline(always)]
    pub const fn pages(self) -> u64 {
        1u64.wrapping_shl(self.shift())
    }

    /// Number of guest frames that a whole table of this level spans.
    #[inline(always)]
    pub const fn table_pages(self) -> u64 {
        (ENTRIES as u64).wrapping_shl(self.shift())
    }

    /// Index of the entry for `gfn` in its table of this level (`SPTE_INDEX`).
    #[inline(always)]
    pub const fn index(self, gfn: Gfn) -> usize {
        gfn.raw().wrapping_shr(self.shift()) as usize & (ENTRIES - 1)
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
        let last = self.end.add(u64::MAX);
        self.start.round_down(level) == last.round_down(level)
    }

    /// Whether `gfn` lies within.
    #[inline(always)]
    pub fn contains(self, gfn: Gfn) -> bool {
        self.start <= gfn && gfn < self.end
    }

    /// Whether there is no frame in the range.
    #[inline(always)]
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }
}
