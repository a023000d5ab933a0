// SPDX-License-Identifier: GPL-2.0

//! A CPU's own dirty log (PML): a buffer of the frames whose dirty bit the CPU has set.
//!
//! The CPU looks for room before it sets the bit. If there is none, it leaves the guest, and KVM
//! empties the buffer: as it does at every exit.

use crate::kvm::{AddressSpace, Gfn};

/// Number of frames that fit in. Hardware has 512; here a buffer is to be full often.
pub const ENTRIES: usize = 3;

/// The buffer.
#[derive(Default)]
pub struct Pml(Vec<(AddressSpace, Gfn)>);

impl Pml {
    /// Whether there is no room left.
    pub fn is_full(&self) -> bool {
        self.0.len() == ENTRIES
    }

    /// Logs `gfn`, which was written in `space`.
    pub fn push(&mut self, space: AddressSpace, gfn: Gfn) {
        assert!(!self.is_full(), "the CPU's dirty log overflows");
        self.0.push((space, gfn));
    }

    /// Empties the buffer.
    pub fn take(&mut self) -> Vec<(AddressSpace, Gfn)> {
        std::mem::take(&mut self.0)
    }
}
