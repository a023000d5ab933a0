// SPDX-License-Identifier: GPL-2.0

//! The host's memory management, without a word of KVM.

pub mod intervals;
pub mod notifier;
mod range;

pub use range::HostRange;
