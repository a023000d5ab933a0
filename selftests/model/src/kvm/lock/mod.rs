// SPDX-License-Identifier: GPL-2.0

//! `mmu_lock` and the pages lock.

#[path = "../../../../../rust/kvm/lock/flush.rs"]
mod flush;
mod invalidation;
mod mmu_lock;
#[path = "../../../../../rust/kvm/lock/mode.rs"]
mod mode;
mod pages_lock;

pub use flush::{Flush, PendingFlush, Waiver};
pub use invalidation::Begun;
pub use mmu_lock::{MmuGuard, MmuLock};
pub use mode::{Exclusive, Locked, Lockless, MayWrite, Mode, Raced, Shared};
pub use pages_lock::PagesLock;
