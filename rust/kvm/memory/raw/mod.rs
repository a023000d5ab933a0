// SPDX-License-Identifier: GPL-2.0

//! C's objects of this room, and what is read from them or done to them by one call.
//!
//! Everything else in the room is made of these and has no `unsafe` in it. The model compiles that as it
//! is, over objects of its own. As with private fields, what is visible in the room alone relies on the
//! room's files for what it names in its `SAFETY` comment.

mod vm;

pub use vm::Vm;
