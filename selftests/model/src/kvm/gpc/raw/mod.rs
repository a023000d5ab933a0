// SPDX-License-Identifier: GPL-2.0

//! C's pfn caches, and the pages that they map.

mod cache;
mod caches;
mod found;
mod memory;
mod mm;
mod task;

pub use cache::Gpc;
pub(in crate::kvm::gpc) use cache::RefreshLock;
pub use caches::Caches;
pub(in crate::kvm::gpc) use found::{FoundPage, Mapping};
pub use memory::Memory;
pub use task::Sleeper;
