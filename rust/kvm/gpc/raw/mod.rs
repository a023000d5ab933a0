// SPDX-License-Identifier: GPL-2.0

//! `struct gfn_to_pfn_cache`, its page, and who looks for that. The model has its own. What is visible in
//! the room alone relies on the room's files for what it names in its `SAFETY` comment.

mod bits;
mod bytes;
mod cache;
mod found;
mod list;
mod mapping;
mod mm;
mod task;

pub use cache::Gpc;
pub(in crate::kvm::gpc) use cache::RefreshLock;
pub(in crate::kvm::gpc) use found::FoundPage;
pub(in crate::kvm::gpc) use mapping::Mapping;
pub use task::Sleeper;
