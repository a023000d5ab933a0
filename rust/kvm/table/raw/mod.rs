// SPDX-License-Identifier: GPL-2.0

//! C's page tables and their headers, and what is read from or done to them by one call. The model has
//! its own.

mod cells;
mod memory;
mod page;
pub mod report;
mod role;
mod vm_page;

pub(super) use cells::Cells;
pub use memory::TableMemory;
pub use page::ShadowPage;
pub use role::Role;
