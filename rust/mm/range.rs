// SPDX-License-Identifier: GPL-2.0

//! Ranges of addresses in an address space of the host.

#![forbid(unsafe_code)]

/// A half-open range of user addresses (bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRange {
    /// The first address.
    pub start: usize,
    /// The first address behind the range.
    pub end: usize,
}

impl HostRange {
    /// The addresses from `start` up to but not including `end`.
    #[inline(always)]
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// The single byte at `address`.
    #[inline(always)]
    pub const fn one(address: usize) -> Self {
        Self::new(address, address.wrapping_add(1))
    }

    /// Whether there is no address in the range.
    #[inline(always)]
    pub const fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// Whether both have an address in common.
    #[inline(always)]
    pub fn overlaps(self, other: Self) -> bool {
        !self.within(other).is_empty()
    }

    /// The part of the range that lies in `other` too. Empty if there is none.
    #[inline(always)]
    pub fn within(self, other: Self) -> Self {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }
}
