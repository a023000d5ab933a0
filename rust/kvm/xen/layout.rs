// SPDX-License-Identifier: GPL-2.0

//! Where things are in the pages that a Xen guest shares with its host.
//!
//! There are two layouts, of 32-bit guests and of 64-bit guests, and a guest may change from one to the other.
//! So whoever looks at such a page reads the layout once, and uses that value to the end.
//!
//! The numbers are compared with C's structs when the module is built. The model compiles this file as it is.

#![forbid(unsafe_code)]

/// The layout of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// That of 32-bit guests: the structs named `compat_` in C.
    Compat,
    /// That of 64-bit guests.
    Native,
}

/// What the layouts differ in. Places are bytes from the start of the struct.
#[derive(Debug)]
pub struct Places {
    /// `vcpu_runstate_info`: when the state was entered. The times spent in each state follow.
    pub entry_time: usize,
    /// `vcpu_runstate_info`: its size.
    pub runstate: usize,
}

/// Those of 32-bit guests.
pub const COMPAT: Places = Places {
    entry_time: 4,
    runstate: 0x2c,
};

/// Those of 64-bit guests.
pub const NATIVE: Places = Places {
    entry_time: 8,
    runstate: 0x30,
};

/// `vcpu_runstate_info`, in both layouts: the state.
pub const RUNSTATE_STATE: usize = 0;

impl Layout {
    /// Where things are.
    #[inline(always)]
    pub const fn places(self) -> &'static Places {
        match self {
            Self::Compat => &COMPAT,
            Self::Native => &NATIVE,
        }
    }
}
