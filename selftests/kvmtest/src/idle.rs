// SPDX-License-Identifier: GPL-2.0

//! Idle page tracking: marking a page idle asks everybody who maps it, KVM among them, whether it
//! was accessed.

use crate::memory::{Memory, PAGE_4K};
use crate::sysfs;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// A bit for each page frame. Those that are written as 0 stay as they are.
const BITMAP: &str = "/sys/kernel/mm/page_idle/bitmap";
const PAGEMAP: &str = "/proc/self/pagemap";
const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;

/// Page frames, ready to be marked idle.
pub struct IdleSet {
    bitmap: File,
    frames: Vec<u64>,
    /// Offset in the bitmap -> words to write there.
    runs: Vec<(u64, Vec<u8>)>,
}

impl IdleSet {
    /// The frames of the pages of `size` in `memory`, in the order of addresses, all of which must
    /// be present; a huge page has one bit, its first.
    pub fn of(memory: &Memory, size: u64) -> Result<Self> {
        // New pages wait in lists of each processor, where idle page tracking does not see them.
        sysfs::write("/proc/sys/vm/drop_caches", "1")?;
        let frames = frames(memory, &(0..memory.size()), size)?.into_iter();
        let frames: Option<Vec<u64>> = frames.collect();
        Self::of_frames(frames.context("a page of the memory is absent")?)
    }

    /// These frames.
    pub fn of_frames(frames: Vec<u64>) -> Result<Self> {
        let bitmap = OpenOptions::new().read(true).write(true).open(BITMAP);
        let bitmap = bitmap
            .with_context(|| format!("opening {BITMAP}: CONFIG_IDLE_PAGE_TRACKING is needed"))?;
        let runs = runs(&frames);
        Ok(Self {
            bitmap,
            frames,
            runs,
        })
    }

    /// Marks all idle.
    pub fn mark(&self) -> Result<()> {
        for (offset, words) in &self.runs {
            self.bitmap
                .write_all_at(words, *offset)
                .context("marking pages idle")?;
        }
        Ok(())
    }

    /// For each frame, whether nobody has accessed it since it was marked.
    pub fn idle(&self) -> Result<Vec<bool>> {
        self.frames
            .iter()
            .map(|frame| self.is_idle(*frame))
            .collect()
    }

    fn is_idle(&self, frame: u64) -> Result<bool> {
        let mut word = [0; 8];
        self.bitmap
            .read_exact_at(&mut word, frame / 64 * 8)
            .context("asking for idle pages")?;
        Ok((u64::from_le_bytes(word) >> (frame % 64)) & 1 != 0)
    }
}

/// The frame of each page of `size` in `range`, if it has one.
pub fn frames(memory: &Memory, range: &Range<u64>, size: u64) -> Result<Vec<Option<u64>>> {
    let pagemap = File::open(PAGEMAP).with_context(|| format!("opening {PAGEMAP}"))?;
    let frame = |offset| {
        let mut entry = [0; 8];
        pagemap.read_exact_at(&mut entry, (memory.address() + offset) / PAGE_4K * 8)?;
        let entry = u64::from_le_bytes(entry);
        Ok((entry & PRESENT != 0).then_some(entry & FRAME))
    };
    range.clone().step_by(size as usize).map(frame).collect()
}

/// Joins neighbours, so that one write does many frames.
fn runs(frames: &[u64]) -> Vec<(u64, Vec<u8>)> {
    let mut words: BTreeMap<u64, u64> = BTreeMap::new();
    for frame in frames {
        *words.entry(frame / 64).or_default() |= 1 << (frame % 64);
    }
    let mut runs: Vec<(u64, Vec<u8>)> = Vec::new();
    for (index, word) in words {
        match runs.last_mut() {
            Some((offset, bytes)) if *offset + bytes.len() as u64 == index * 8 => {
                bytes.extend(word.to_le_bytes());
            }
            _ => runs.push((index * 8, word.to_le_bytes().to_vec())),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn neighbouring_words_are_one_run() {
        let bytes = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(
            runs(&[193, 0, 64, 66]),
            [(0, bytes(&[1, 5])), (24, bytes(&[2]))]
        );
    }
}
