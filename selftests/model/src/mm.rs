// SPDX-License-Identifier: GPL-2.0

//! The model's `rust/mm`: addresses.

#[path = "../../../rust/mm/range.rs"]
mod range;

pub use range::HostRange;
