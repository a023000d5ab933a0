// SPDX-License-Identifier: GPL-2.0

//! Aging through idle page tracking: marking a page idle asks every user whether it was accessed,
//! KVM among them.

use crate::memory::{Memory, PAGE_4K};
use anyhow::{ensure, Context, Result};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

const BITMAP: &str = "/sys/kernel/mm/page_idle/bitmap";
const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;

/// The page frames of some memory, ready to be marked idle.
pub struct IdleSet {
    bitmap: File,
    /// Offset in the bitmap -> words to write there.
    runs: Vec<(u64, Vec<u8>)>,
}

impl IdleSet {
    /// The frames of the pages of `size` in `memory`; a huge page has one bit, its first.
    pub fn of(memory: &Memory, size: u64) -> Result<Self> {
        let mut words: BTreeMap<u64, u64> = BTreeMap::new();
        for frame in frames(memory, size)? {
            *words.entry(frame / 64).or_default() |= 1 << (frame % 64);
        }
        let bitmap = OpenOptions::new()
            .write(true)
            .open(BITMAP)
            .with_context(|| format!("opening {BITMAP}: CONFIG_IDLE_PAGE_TRACKING is needed"))?;
        Ok(Self {
            bitmap,
            runs: runs(&words),
        })
    }

    /// Marks all idle.
    pub fn mark(&self) -> Result<()> {
        for (offset, words) in &self.runs {
            self.bitmap
                .write_all_at(words, *offset)
                .with_context(|| format!("writing to {BITMAP}"))?;
        }
        Ok(())
    }
}

fn frames(memory: &Memory, size: u64) -> Result<Vec<u64>> {
    let pagemap = File::open("/proc/self/pagemap")?;
    let mut frames = Vec::new();
    for page in 0..memory.pages(size) {
        let mut entry = [0; 8];
        let address = memory.address() + page * size;
        pagemap.read_exact_at(&mut entry, address / PAGE_4K * 8)?;
        let entry = u64::from_le_bytes(entry);
        ensure!(entry & PRESENT != 0, "page {page} of the memory is absent");
        frames.push(entry & FRAME);
    }
    Ok(frames)
}

/// Joins neighbours, so that one write does many pages.
fn runs(words: &BTreeMap<u64, u64>) -> Vec<(u64, Vec<u8>)> {
    let mut runs: Vec<(u64, Vec<u8>)> = Vec::new();
    for (&index, word) in words {
        match runs.last_mut() {
            Some((offset, bytes)) if *offset + bytes.len() as u64 == index * 8 => {
                bytes.extend(word.to_le_bytes());
            }
            _ => runs.push((index * 8, word.to_le_bytes().to_vec())),
        }
    }
    runs
}
