// SPDX-License-Identifier: GPL-2.0

//! The objects of C that the room is about.

mod changes;
mod vm;

pub use vm::{Counter, Setup, Stats, Vm};
