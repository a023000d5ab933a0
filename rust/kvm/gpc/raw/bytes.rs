// SPDX-License-Identifier: GPL-2.0

//! What is read from a page of the guest's, and written to it. The guest may access the page at the
//! same time, so C's functions do it.

use super::cache::Gpc;
use crate::kvm::gpc::place::PackedWord;
use kvm_bindings as bindings;

impl Gpc {
    /// The word at `offset` of the page. Only for a [`GuestPage`] that has it.
    #[inline(always)]
    pub(in crate::kvm::gpc) fn read_u32(&self, offset: usize) -> u32 {
        // SAFETY: By the invariant of `GuestPage` the page is mapped and pinned, and it has looked that the
        // word lies within.
        unsafe { bindings::kvmrs_guest_read_u32(self.base().add(offset).cast()) }
    }

    /// Writes it, at once. As above.
    #[inline(always)]
    pub(in crate::kvm::gpc) fn write_u32(&self, offset: usize, value: u32) {
        // SAFETY: As above.
        unsafe { bindings::kvmrs_guest_write_u32(self.base().add(offset).cast(), value) };
    }

    /// Writes the byte at `offset`, at once. As above.
    #[inline(always)]
    pub(in crate::kvm::gpc) fn write_u8(&self, offset: usize, value: u8) {
        // SAFETY: As above.
        unsafe { bindings::kvmrs_guest_write_u8(self.base().add(offset), value) };
    }

    /// Writes all of these, in any order. As above.
    #[inline(always)]
    pub(in crate::kvm::gpc) fn write_bytes(&self, offset: usize, bytes: &[u8]) {
        let (to, from) = (self.base().wrapping_add(offset), bytes.as_ptr());
        // SAFETY: As above, for all bytes. What the page is mapped from is no memory of Rust's.
        unsafe { bindings::kvmrs_guest_write(to.cast(), from.cast(), bytes.len()) };
    }

    /// Writes all of these words, in any order. As above.
    #[inline(always)]
    pub(in crate::kvm::gpc) fn write_words<const N: usize>(
        &self,
        offset: usize,
        words: &[PackedWord; N],
    ) {
        let (to, from) = (self.base().wrapping_add(offset), words.as_ptr());
        // SAFETY: As above, for all words. What the page is mapped from is no memory of Rust's.
        unsafe { bindings::kvmrs_guest_write(to.cast(), from.cast(), size_of_val(words)) };
    }
}
