// SPDX-License-Identifier: GPL-2.0

//! Bits of a page of the guest's, which the guest changes at the same time.
//!
//! The model compiles this file as it is.

#![forbid(unsafe_code)]

use super::page::GuestPage;

impl GuestPage<'_> {
    /// The byte at `at`.
    #[inline(always)]
    pub fn read_u8(&self, at: usize) -> Option<u8> {
        Some(self.cache.read_u8(self.place_of(at, 1)?))
    }

    /// Whether the bit is set that is `bit` bits behind the start.
    #[inline(always)]
    pub fn test_bit(&self, bit: usize) -> Option<bool> {
        Some(self.read_u8(bit / 8)? >> (bit % 8) & 1 != 0)
    }

    /// Sets that bit by one locked instruction, and returns whether it was set.
    ///
    /// The instruction goes to the aligned word around the bit, wherever the guest has put what is cached:
    /// such a word lies in one cache line, and so is no split lock. It orders all that the task has done
    /// before what it does afterwards, also where the bit was set.
    #[inline(always)]
    pub fn test_and_set_bit(&self, bit: usize) -> Option<bool> {
        let byte = self.place_of(bit / 8, 1)?;
        Some(self.cache.test_and_set_bit(byte, bit % 8))
    }
}
