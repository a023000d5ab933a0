// SPDX-License-Identifier: GPL-2.0

//! The locks that the room is about.

mod invalidation;
mod log;
mod mmu_lock;
mod pages_lock;

pub use mmu_lock::{MmuGuard, MmuLock};
pub use pages_lock::PagesLock;
