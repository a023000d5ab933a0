// SPDX-License-Identifier: GPL-2.0

//! Memory for a VM: anonymous, all there, in pages of one size.

use anyhow::{bail, ensure, Result};
use std::io::Error;
use std::ptr;

/// Size of a small page.
pub const PAGE_4K: u64 = 4 << 10;
/// Size of a huge page.
pub const PAGE_2M: u64 = 2 << 20;

/// How the memory is backed.
#[derive(Clone, Copy, PartialEq)]
pub enum Backing {
    Small,
    Huge,
    /// Small pages, only the first of each 2M.
    Sparse,
}

/// A mapping of this process, aligned to 2M.
pub struct Memory {
    mapping: (u64, u64),
    address: u64,
    size: u64,
}

impl Memory {
    /// Maps `size` bytes and makes the pages that `backing` asks for present.
    pub fn new(size: u64, backing: Backing) -> Result<Self> {
        let length = size + PAGE_2M;
        // SAFETY: a new mapping at an address that the kernel chooses touches no other memory.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length as usize,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            bail!("no memory: {}", Error::last_os_error());
        }
        let start = start as u64;
        let memory = Self {
            mapping: (start, length),
            address: start.next_multiple_of(PAGE_2M),
            size,
        };
        memory.fill(backing)?;
        Ok(memory)
    }

    fn fill(&self, backing: Backing) -> Result<()> {
        let advice = match backing {
            Backing::Huge => libc::MADV_HUGEPAGE,
            Backing::Small | Backing::Sparse => libc::MADV_NOHUGEPAGE,
        };
        self.advise(0, self.size, advice)?;
        if backing != Backing::Sparse {
            return self.advise(0, self.size, libc::MADV_POPULATE_WRITE);
        }
        for offset in (0..self.size).step_by(PAGE_2M as usize) {
            self.advise(offset, PAGE_4K, libc::MADV_POPULATE_WRITE)?;
        }
        Ok(())
    }

    /// Its first byte's address in this process.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many pages of `size` it has room for.
    pub fn pages(&self, size: u64) -> u64 {
        self.size / size
    }

    /// Copies `bytes` to its beginning.
    pub fn write(&mut self, bytes: &[u8]) {
        assert!(bytes.len() as u64 <= self.size);
        // SAFETY: the mapping is this object's own, it is large enough, and no reference into it
        // is ever made. No guest runs while `self` is borrowed mutably.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.address as *mut u8, bytes.len()) }
    }

    /// Gives the pages back and keeps the mapping.
    pub fn discard(&self) -> Result<()> {
        self.advise(0, self.size, libc::MADV_DONTNEED)
    }

    /// Unmaps it all. What is mapped there for a VM goes too.
    pub fn unmap(self) {}

    fn advise(&self, offset: u64, length: u64, advice: i32) -> Result<()> {
        let start = (self.address + offset) as *mut libc::c_void;
        // SAFETY: the range is in this object's own mapping, whose content nobody relies on.
        let failed = unsafe { libc::madvise(start, length as usize, advice) };
        ensure!(failed == 0, "madvise({advice}): {}", Error::last_os_error());
        Ok(())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let (start, length) = self.mapping;
        // SAFETY: nobody uses the mapping after this object; a VM that still has it as a slot
        // loses its pages through the mmu_notifier, and faults if it touches them.
        unsafe { libc::munmap(start as *mut libc::c_void, length as usize) };
    }
}
