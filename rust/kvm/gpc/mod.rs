// SPDX-License-Identifier: GPL-2.0

//! Pfn caches: a page of the guest's that the kernel has mapped, and may lose at any time.
//!
//! Read [`pins`] and [`state`] first: what readers and writers of a cache meet by, and in which order it
//! changes. Together they are why a [`GuestPage`] can be used without a lock or a reference to the page.
//!
//! The model compiles all but `raw/`, and has caches and pages of its own.

mod bits;
mod page;
mod pins;
mod place;
mod raw;
mod state;

pub use page::GuestPage;
pub use place::{
    Address,
    PackedWord,
    Refused,
    PAGE_SIZE, //
};
pub use raw::{
    Gpc,
    Sleeper, //
};
pub use state::{
    Active,
    Closed,
    Found,
    Inactive,
    Locked,
    Moved, //
};
