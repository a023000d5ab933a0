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
    /// Bits of a word of the bitmaps of ports.
    pub word_bits: u32,
    /// Ports that there are.
    pub ports: u32,
    /// `vcpu_info`: which words of the bitmap have pending ports.
    pub selector: usize,
    /// `shared_info`: the bitmap of pending ports.
    pub pending: usize,
    /// `shared_info`: the bitmap of masked ports.
    pub mask: usize,
    /// `shared_info`: the wall clock.
    pub wall_clock: usize,
    /// `shared_info`: the upper half of its seconds.
    pub wall_clock_high: usize,
    /// `vcpu_runstate_info`: when the state was entered. The times spent in each state follow.
    pub entry_time: usize,
    /// `vcpu_runstate_info`: its size.
    pub runstate: usize,
    /// `sched_poll`: the number of ports.
    pub poll_count: usize,
    /// `sched_poll`: the time-out.
    pub poll_timeout: usize,
    /// `sched_poll`: its size.
    pub poll: usize,
    /// `vcpu_set_singleshot_timer`: its size.
    pub singleshot: usize,
}

/// Those of 32-bit guests.
pub const COMPAT: Places = Places {
    word_bits: 32,
    ports: 1024,
    selector: 4,
    pending: 0x800,
    mask: 0x880,
    wall_clock: 0x900,
    wall_clock_high: 0x924,
    entry_time: 4,
    runstate: 0x2c,
    poll_count: 4,
    poll_timeout: 8,
    poll: 16,
    singleshot: 12,
};

/// Those of 64-bit guests.
pub const NATIVE: Places = Places {
    word_bits: 64,
    ports: 4096,
    selector: 8,
    pending: 0x800,
    mask: 0xa00,
    wall_clock: 0xc00,
    wall_clock_high: 0xc0c,
    entry_time: 8,
    runstate: 0x30,
    poll_count: 8,
    poll_timeout: 16,
    poll: 24,
    singleshot: 16,
};

/// Bytes of the instruction by which a guest calls: `vmcall` or `vmmcall`.
pub const CALL: usize = 3;
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
