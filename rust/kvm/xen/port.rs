// SPDX-License-Identifier: GPL-2.0

//! Event channels, and the words of their bitmaps.
//!
//! A port is made by a layout, and goes by no other. So a number that was compared with the ports of one layout
//! is never used with the bitmaps of the other one.
//!
//! The model compiles this file as it is.

#![forbid(unsafe_code)]

use super::layout::Layout;

/// The priority of all events: there are two levels of bitmaps, which know of none.
pub const TWO_LEVELS: u32 = u32::MAX;
/// `vcpu_info`, in both layouts: whether events are pending.
pub const UPCALL_PENDING: usize = 0;
/// `vcpu_info`, in both layouts: the vCPU's clock.
pub const VCPU_TIME: usize = 32;
/// `vcpu_info`, in both layouts: its size.
pub const VCPU_INFO: usize = 64;

impl Layout {
    /// The port of that number, which is the guest's or userspace's to choose. `None` if there is none.
    #[inline(always)]
    pub fn port(self, number: u32) -> Option<Port> {
        // INVARIANT: It was compared.
        (number < self.places().ports).then_some(Port {
            number,
            layout: self,
        })
    }
}

/// An event channel of a guest.
///
/// # Invariants
///
/// `number` is less than the number of ports of `layout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    number: u32,
    layout: Layout,
}

impl Port {
    /// Its number.
    #[inline(always)]
    pub fn number(self) -> u32 {
        self.number
    }

    /// The bit of `shared_info` that says that it is pending.
    #[inline(always)]
    pub fn pending_bit(self) -> usize {
        8 * self.layout.places().pending + self.number as usize
    }

    /// The bit of `shared_info` that says that it is masked.
    #[inline(always)]
    pub fn mask_bit(self) -> usize {
        8 * self.layout.places().mask + self.number as usize
    }

    /// Which word of the bitmaps it is in.
    #[inline(always)]
    pub fn word(self) -> Word {
        // INVARIANT: There are as many words as a word has bits.
        Word {
            index: self.number / self.layout.places().word_bits,
            layout: self.layout,
        }
    }
}

/// A word of the bitmaps of ports, which has a bit of its own in each `vcpu_info`.
///
/// # Invariants
///
/// `index` is less than the number of bits of a word of `layout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    index: u32,
    layout: Layout,
}

impl Word {
    /// Its index, at most 63.
    #[inline(always)]
    pub fn index(self) -> u32 {
        self.index
    }

    /// Those of `set` that `layout` has.
    pub fn all_in(set: u64, layout: Layout) -> impl Iterator<Item = Self> {
        let bits = 0..layout.places().word_bits;
        bits.filter(move |index| set >> index & 1 != 0)
            // INVARIANT: Only such bits were looked at.
            .map(move |index| Self { index, layout })
    }

    /// The bit of `vcpu_info` that says that a port of the word is pending.
    #[inline(always)]
    pub fn selector_bit(self) -> usize {
        8 * self.layout.places().selector + self.index as usize
    }
}
