// SPDX-License-Identifier: GPL-2.0

//! Idle page tracking: asks everybody who maps a page, KVM among them, whether it was accessed.

use crate::memory::{Memory, PAGE_4K};
use crate::sysfs;
use anyhow::{ensure, Context, Result};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

const BITMAP: &str = "/sys/kernel/mm/page_idle/bitmap";
const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;

/// The page frames of some memory.
pub struct IdleSet {
    bitmap: File,
    /// In the order of addresses.
    frames: Vec<u64>,
}

impl IdleSet {
    /// The frames of the pages of `size` in `memory`; a huge page has one bit, its first.
    pub fn of(memory: &Memory, size: u64) -> Result<Self> {
        let bitmap = OpenOptions::new().read(true).write(true).open(BITMAP);
        let bitmap = bitmap.with_context(|| format!("opening {BITMAP}"))?;
        // New pages wait in lists of each processor, where idle page tracking does not see them.
        sysfs::write("/proc/sys/vm/drop_caches", "1")?;
        let frames = frames(memory, size)?;
        Ok(Self { bitmap, frames })
    }

    /// Marks all idle.
    pub fn mark(&self) -> Result<()> {
        for frame in &self.frames {
            let word: u64 = 1 << (frame % 64);
            self.bitmap
                .write_all_at(&word.to_le_bytes(), frame / 64 * 8)
                .context("marking pages")?;
        }
        Ok(())
    }

    /// For each page, whether nobody has accessed it since it was marked.
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
            .context("reading idle pages")?;
        Ok((u64::from_le_bytes(word) >> (frame % 64)) & 1 != 0)
    }
}

fn frames(memory: &Memory, size: u64) -> Result<Vec<u64>> {
    let pagemap = File::open("/proc/self/pagemap")?;
    let mut frames = Vec::new();
    for offset in (0..memory.size()).step_by(size as usize) {
        let mut entry = [0; 8];
        pagemap.read_exact_at(&mut entry, (memory.address() + offset) / PAGE_4K * 8)?;
        let entry = u64::from_le_bytes(entry);
        ensure!(entry & PRESENT != 0, "the memory at {offset:#x} is absent");
        frames.push(entry & FRAME);
    }
    Ok(frames)
}
