// SPDX-License-Identifier: GPL-2.0

//! Words that name their place and version: a page that went elsewhere or stayed old is noticed.

/// Memory is filled and checked one word in so many: one in every cache line.
const STEP: usize = 8;

/// The word at `index` in one version of all words.
fn word(version: u64, index: usize) -> u64 {
    (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (version << 48)
}

/// Fills `part`, whose first word has the number `first`.
pub fn fill(part: &mut [u64], version: u64, first: usize) {
    for (offset, slot) in part.iter_mut().enumerate().step_by(STEP) {
        *slot = word(version, first + offset);
    }
}

/// How many words of `part` are not what [`fill`] wrote.
pub fn wrong(part: &[u64], version: u64, first: usize) -> usize {
    part.iter()
        .enumerate()
        .step_by(STEP)
        .filter(|(offset, slot)| **slot != word(version, first + offset))
        .count()
}

/// The same as bytes, for files.
pub fn bytes(version: u64, first: usize, words: usize) -> Vec<u8> {
    (first..first + words)
        .flat_map(|index| word(version, index).to_le_bytes())
        .collect()
}
