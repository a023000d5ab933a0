// SPDX-License-Identifier: GPL-2.0

//! Shadow page-table entries (SPTEs): values, the bits of each format, the memory that holds them.
//!
//! The model compiles `value.rs` as it is, and has masks and cells of its own.

mod cell;
pub mod masks;
mod value;

pub use cell::SpteCell;
pub(in crate::kvm) use value::link;
pub use value::{
    LeafSpte,
    Spte,
    AD_DISABLED,
    AD_MASK,
    AD_WRPROT_ONLY,
    FROZEN,
    MMU_PRESENT,
    NONPRESENT,
    PAGE_SIZE,
    READABLE,
    WRITABLE, //
};
