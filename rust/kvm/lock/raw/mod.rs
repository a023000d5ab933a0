// SPDX-License-Identifier: GPL-2.0

//! C's locks, and what is done with them by one call. The model has its own.

mod invalidation;
mod log;
mod mmu_lock;
mod pages_lock;

pub use mmu_lock::{
    MmuGuard,
    MmuLock, //
};
pub use pages_lock::PagesLock;
