// SPDX-License-Identifier: GPL-2.0

//! Where things are in the pages of a Xen guest, which differs for guests of 32 and of 64 bits.

use crate::vm::Vm;
use crate::xen::{self, PENDING};
use anyhow::Result;
use std::ops::Range;

/// What KVM takes a guest for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Layout {
    /// One of 32 bits.
    Compat,
    /// One of 64 bits.
    Native,
}

impl Layout {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Compat, Self::Native];

    /// Tells KVM.
    pub fn set(self, vm: &Vm) -> Result<()> {
        xen::set_long_mode(vm, self == Self::Native)
    }

    /// Bits in a word of the guest's, and words of channels.
    pub fn bits(self) -> u32 {
        match self {
            Self::Compat => 32,
            Self::Native => 64,
        }
    }

    /// How many event channels there are: a bit in each word for a word of bits.
    pub fn ports(self) -> u32 {
        self.bits() * self.bits()
    }

    /// In the shared page: the bits of events.
    pub fn pending(self) -> Range<u64> {
        PENDING..PENDING + u64::from(self.ports() / 8)
    }

    /// In the shared page: the bits of channels whose events are not to be delivered.
    pub fn masks(self) -> Range<u64> {
        let Range { start, end } = self.pending();
        end..end + (end - start)
    }

    /// In the shared page: the time of day at which the guest's clock was 0. First a version, seconds, nanoseconds,
    /// of four bytes each; elsewhere, the upper four bytes of the seconds.
    pub fn wall_clock(self) -> [Range<u64>; 2] {
        match self {
            Self::Compat => [0x900..0x90c, 0x924..0x928],
            Self::Native => [0xc00..0xc0c, 0xc0c..0xc10],
        }
    }

    /// In a vCPU's page: the byte with the bit for a port's word, and that bit.
    pub fn selected(self, port: u32) -> (u64, u8) {
        let start = u64::from(self.bits() / 8);
        let word = port / self.bits();
        (start + u64::from(word / 8), 1 << (word % 8))
    }

    /// Where the time is up to which a vCPU's states are, behind the number of its state.
    pub fn until(self) -> u64 {
        match self {
            Self::Compat => 4,
            Self::Native => 8,
        }
    }

    /// Bytes of a vCPU's states: five times of eight bytes come last.
    pub fn states(self) -> u64 {
        self.until() + 5 * 8
    }
}

#[cfg(test)]
mod tests {
    use super::Layout::{Compat, Native};

    #[test]
    fn offsets_are_those_of_xens_headers() {
        assert_eq!((Compat.ports(), Native.ports()), (1024, 4096));
        assert_eq!(
            (Compat.masks(), Native.masks()),
            (0x880..0x900, 0xa00..0xc00)
        );
        assert_eq!((Compat.states(), Native.states()), (0x2c, 0x30));
        assert_eq!(Compat.selected(1023), (7, 0x80));
        assert_eq!(Native.selected(64), (8, 2));
        assert_eq!(Native.selected(4095), (15, 0x80));
    }
}
