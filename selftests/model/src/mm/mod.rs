// SPDX-License-Identifier: GPL-2.0

//! The model's `rust/mm`: addresses, and what a notifier is called with.

pub mod notifier;
#[path = "../../../../rust/mm/range.rs"]
mod range;

pub use range::HostRange;
