// SPDX-License-Identifier: GPL-2.0

//! A page of the guest's that is pinned.
//!
//! The kernel's address of it does not leave this room: a [`GuestPage`] is neither a pointer nor a
//! reference. The guest may write to the page at any time, so what is read is a copy.
//!
//! The model compiles this file as it is.

#![forbid(unsafe_code)]

use super::{
    place::{Address, PackedWord, PAGE_SIZE},
    raw::Gpc, //
};
use crate::{
    kvm::memory::SlotsHeld,
    sync::preempt, //
};
use core::ptr;

/// The bytes that a pfn cache is for, while they stay where they are.
///
/// The host waits for the pin, so it must be short. The task cannot be preempted meanwhile.
///
/// # Invariants
///
/// The value has a pin of the cache's, and with it preemption is off. The cache is valid for `len` bytes
/// from `offset` on, which lie within the page. The slot that it knows is one of the hold of the slots.
#[must_use = "the pin ends at once if the guard is unused"]
pub struct GuestPage<'a> {
    pub(in crate::kvm::gpc) cache: &'a Gpc,
    offset: usize,
    len: usize,
    _preempt: preempt::Guard,
}

impl<'a> GuestPage<'a> {
    /// Pins the page, if the cache is valid for `len` bytes. Never waits, in whatever context.
    #[inline]
    pub fn pin(cache: &'a Gpc, slots: &'a SlotsHeld<'_>, len: usize) -> Option<Self> {
        if !ptr::eq(cache.vm(), slots.vm()) {
            return None;
        }
        let preempt = preempt::disable();
        if !cache.pins().pin() {
            return None;
        }
        let address = cache.address();
        // INVARIANT: A pin was taken. Who has the value sees it only if the rest is true.
        let page = Self {
            cache,
            offset: address.offset(),
            len,
            _preempt: preempt,
        };
        if !is_current(cache, address, slots) || !address.fits(len) {
            return None;
        }
        Some(page)
    }

    /// Pins all that the cache has from its address to the end of the page.
    #[inline]
    pub fn pin_rest(cache: &'a Gpc, slots: &'a SlotsHeld<'_>) -> Option<Self> {
        let mut page = Self::pin(cache, slots, 0)?;
        // INVARIANT: A cache is valid for a whole page.
        page.len = PAGE_SIZE - page.offset;
        Some(page)
    }

    /// What the cache is for.
    #[inline(always)]
    pub fn address(&self) -> Address {
        self.cache.address()
    }

    /// How many bytes are pinned.
    #[inline(always)]
    pub fn pinned(&self) -> usize {
        self.len
    }

    /// Where in the page `size` bytes are, at `at` of those that are cached. `None` if they are not all
    /// cached.
    #[inline(always)]
    pub(in crate::kvm::gpc) fn place_of(&self, at: usize, size: usize) -> Option<usize> {
        let fits = at <= self.len && size <= self.len - at;
        fits.then(|| self.offset + at)
    }

    /// The word at `at`.
    #[inline(always)]
    pub fn read_u32(&self, at: usize) -> Option<u32> {
        Some(self.cache.read_u32(self.place_of(at, 4)?))
    }

    /// Writes a word at `at`, at once.
    #[inline(always)]
    pub fn write_u32(&self, at: usize, value: u32) -> Option<()> {
        self.cache.write_u32(self.place_of(at, 4)?, value);
        Some(())
    }

    /// Writes these words from `at` on, in any order.
    #[inline(always)]
    pub fn write_words<const N: usize>(&self, at: usize, words: &[PackedWord; N]) -> Option<()> {
        self.cache.write_words(self.place_of(at, 4 * N)?, words);
        Some(())
    }

    /// Writes a byte at `at`, at once.
    #[inline(always)]
    pub fn write_u8(&self, at: usize, value: u8) -> Option<()> {
        self.cache.write_u8(self.place_of(at, 1)?, value);
        Some(())
    }

    /// Writes these bytes from `at` on, in any order.
    #[inline(always)]
    pub fn write_bytes(&self, at: usize, bytes: &[u8]) -> Option<()> {
        self.cache
            .write_bytes(self.place_of(at, bytes.len())?, bytes);
        Some(())
    }

    /// Marks the page dirty, if a memory slot has it.
    #[inline(always)]
    pub fn mark_dirty(&self) {
        self.cache.mark_dirty();
    }
}

/// Whether the slots, by which the cache may have found its page, are still those.
#[inline(always)]
fn is_current(cache: &Gpc, address: Address, slots: &SlotsHeld<'_>) -> bool {
    match address {
        Address::Guest(_) => cache.generation() == slots.generation(),
        Address::Host(_) => true,
    }
}

impl Drop for GuestPage<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.cache.pins().unpin();
    }
}
