// SPDX-License-Identifier: GPL-2.0

//! `mmu_lock` and the pages lock: how they are held, and which flushes are owed before they go.
//!
//! The model compiles all but `raw/`, and has locks of its own.

mod flush;
mod invalidation;
mod log;
mod mmu_lock;
mod mode;
mod raw;

pub use flush::{
    Flush,
    PendingFlush,
    Waiver, //
};
pub use invalidation::Begun;
pub use mode::{
    Exclusive,
    Locked,
    Lockless,
    MayWrite,
    Mode,
    Raced,
    Shared, //
};
pub use raw::{
    MmuGuard,
    MmuLock,
    PagesLock, //
};
