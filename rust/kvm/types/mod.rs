// SPDX-License-Identifier: GPL-2.0

//! The field's units as types: frames, levels, ranges of frames.
//!
//! Nothing here touches the kernel. The model compiles the whole room.

#![forbid(unsafe_code)]

mod gfn;
mod level;

pub use gfn::{
    Gfn,
    GfnRange,
    Pfn,
    PAGE_SHIFT, //
};
pub use level::{
    Level,
    ENTRIES, //
};
