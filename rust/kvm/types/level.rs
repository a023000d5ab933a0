// SPDX-License-Identifier: GPL-2.0

//! Levels of the paging structure.

#![forbid(unsafe_code)]

/// log2 of the number of entries in a page table.
const LEVEL_BITS: u32 = 9;
/// Number of entries in a page table.
pub const ENTRIES: usize = 1 << LEVEL_BITS;

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
        match self.0 > Self::PG_4K.0 {
            // INVARIANT: Below a level that is above the lowest is one.
            true => Some(Self(self.0.wrapping_sub(1))),
            false => None,
        }
    }

    /// The level of the entry that points to a table of this level.
    #[inline(always)]
    pub const fn above(self) -> Option<Self> {
        match self.0 < Self::MAX.0 {
            // INVARIANT: Above a level that is below the highest is one.
            true => Some(Self(self.0.wrapping_add(1))),
            false => None,
        }
    }

    // By the type's invariant nothing below wraps; "wrapping" keeps overflow checks out of walks.

    /// log2 of the number of guest frames that one entry of this level spans.
    #[inline(always)]
    pub const fn shift(self) -> u32 {
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
}
