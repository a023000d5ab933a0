// SPDX-License-Identifier: GPL-2.0

//! `struct kvm`, and what is read from it or done to it by one call. The model has its own. What is
//! visible in the room alone relies on the room's files for what it names in its `SAFETY` comment.

mod changes;
mod vm;

pub use vm::Vm;
