// SPDX-License-Identifier: GPL-2.0

//! `mmu_lock` and the pages lock: how they are held, and which flushes are owed before they go.
//!
//! The model compiles `mode.rs` and `flush.rs` as they are, and has locks of its own.

mod flush;
mod invalidation;
mod mmu_lock;
mod mode;
mod pages_lock;

pub use flush::{
    Flush,
    PendingFlush,
    Waiver, //
};
pub use invalidation::Begun;
pub use mmu_lock::{
    MmuGuard,
    MmuLock, //
};
pub use mode::{
    Exclusive,
    Locked,
    Lockless,
    MayWrite,
    Mode,
    Raced,
    Shared, //
};
pub use pages_lock::PagesLock;
