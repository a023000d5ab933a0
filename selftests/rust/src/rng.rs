// SPDX-License-Identifier: GPL-2.0

//! Random numbers that a seed repeats.

use std::ops::Range;

/// A counter, and a function that mixes it well.
pub struct Rng(u64);

impl Rng {
    /// The same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number of the range.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    /// Once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.within(0..times) == 0
    }

    /// A part of `size` bytes: one unit, a few of them, or everything.
    pub fn part(&mut self, size: u64, unit: u64) -> Range<u64> {
        let units = size / unit;
        let start = self.within(0..units);
        let count = match self.within(0..8) {
            0 => return 0..size,
            1..=3 => self.within(1..17).min(units - start),
            _ => 1,
        };
        start * unit..(start + count) * unit
    }
}
