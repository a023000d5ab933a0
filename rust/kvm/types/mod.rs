// SPDX-License-Identifier: GPL-2.0

//! The field's units as types: frames, levels, access rights, address spaces.
//!
//! Nothing here touches the kernel. The model compiles the whole room.

#![forbid(unsafe_code)]

mod access;
mod address_space;
mod gfn;
mod level;
mod nx_huge_page;

pub use access::Access;
pub use address_space::AddressSpace;
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
pub use nx_huge_page::NxHugePage;
