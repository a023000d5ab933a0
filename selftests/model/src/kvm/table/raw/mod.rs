// SPDX-License-Identifier: GPL-2.0

//! Page tables and their headers, in one object of the machine's arena.

mod cells;
mod memory;
mod page;
pub mod report;
mod role;
mod vm_page;

pub(super) use cells::Cells;
pub use memory::TableMemory;
pub use page::{Lie, ShadowPage};
pub use role::Role;
