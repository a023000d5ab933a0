// SPDX-License-Identifier: GPL-2.0

//! Shadow page-table entries.

mod cell;
pub mod masks;
#[path = "../../../../../rust/kvm/spte/value.rs"]
mod value;

pub use cell::SpteCell;
pub(in crate::kvm) use value::link;
pub use value::{
    LeafSpte, Spte, AD_DISABLED, AD_MASK, AD_WRPROT_ONLY, FROZEN, MMU_PRESENT, NONPRESENT,
    PAGE_SIZE, READABLE, WRITABLE,
};
