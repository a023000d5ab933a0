// SPDX-License-Identifier: GPL-2.0

//! `mmu_lock` and the pages lock.

#[path = "../../../../../rust/kvm/lock/flush.rs"]
mod flush;
#[path = "../../../../../rust/kvm/lock/invalidation.rs"]
mod invalidation;
#[path = "../../../../../rust/kvm/lock/log.rs"]
mod log;
#[path = "../../../../../rust/kvm/lock/mmu_lock.rs"]
mod mmu_lock;
#[path = "../../../../../rust/kvm/lock/mode.rs"]
mod mode;
mod raw;

pub use flush::{Flush, PendingFlush, Waiver};
pub use invalidation::Begun;
pub use mode::{Exclusive, Locked, Lockless, MayWrite, Mode, Raced, Shared};
pub use raw::{MmuGuard, MmuLock, PagesLock};
