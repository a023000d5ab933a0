// SPDX-License-Identifier: GPL-2.0

//! Bits of a page of the guest's. The guest may access them at the same time, so C's functions do it.

use super::cache::Gpc;
use kvm_bindings as bindings;

impl Gpc {
    /// The byte at `offset`. Only for a [`GuestPage`](crate::kvm::gpc::GuestPage) that
    /// has it.
    #[inline(always)]
    pub(in crate::kvm::gpc) fn read_u8(&self, offset: usize) -> u8 {
        // SAFETY: By the invariant of `GuestPage` the page is mapped and pinned, and it has looked that the
        // byte lies within.
        unsafe { bindings::kvmrs_guest_read_u8(self.base().add(offset)) }
    }

    /// Sets bit `bit` of the byte at `offset`, and returns whether it was set. As above.
    #[inline(always)]
    pub(in crate::kvm::gpc) fn test_and_set_bit(&self, offset: usize, bit: usize) -> bool {
        let word = offset & !3;
        let bit = 8 * (offset - word) + bit;
        // SAFETY: As above. A page begins and ends with an aligned word, so that the whole word around the
        // byte lies in the page. Other bytes of it keep their values.
        unsafe { bindings::kvmrs_guest_test_and_set_bit(self.base().add(word).cast(), bit as u32) }
    }
}
