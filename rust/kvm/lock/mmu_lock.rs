// SPDX-License-Identifier: GPL-2.0

//! How `mmu_lock` is taken, and dropped for a while.
//!
//! Dropping takes the proof of the hold by `&mut`, the RCU section by value and demands the pending
//! flush, so that no entry or table reference survives it and no flush gets lost.
//!
//! Lock order: `kvm->slots_lock` > `kvm->srcu` > `mmu_lock` > RCU > `tdp_mmu_pages_lock`.

#![forbid(unsafe_code)]

use super::{
    flush::PendingFlush,
    mode::{Exclusive, Locked, Shared},
    raw::{MmuGuard, MmuLock}, //
};
use crate::{
    kvm::memory::Vm,
    sync::rcu, //
};

impl<M: Locked> MmuLock<'_, M> {
    /// Lets others have the lock and the CPU.
    ///
    /// In C's order: flush, leave RCU, drop and retake the lock, enter RCU again. `flush` is the one
    /// that the hold owes, if it owes any; that of another VM is refused.
    pub fn give_way(&mut self, rcu: rcu::Guard, flush: &mut PendingFlush<'_>) -> rcu::Guard {
        flush.settle(self.vm());
        drop(rcu);
        self.cond_resched();
        rcu::read_lock()
    }

    /// Runs `sleep`, which may sleep, without the lock.
    pub fn unlocked<R>(
        &mut self,
        rcu: rcu::Guard,
        flush: &mut PendingFlush<'_>,
        sleep: impl FnOnce() -> R,
    ) -> (R, rcu::Guard) {
        flush.settle(self.vm());
        drop(rcu);
        let result = self.without(sleep);
        (result, rcu::read_lock())
    }
}

impl Vm {
    /// Takes `mmu_lock` for read.
    #[inline]
    pub fn mmu_read(&self) -> MmuGuard<'_, Shared> {
        MmuGuard::new(self)
    }

    /// Takes `mmu_lock` for write.
    #[inline]
    pub fn mmu_write(&self) -> MmuGuard<'_, Exclusive> {
        MmuGuard::new(self)
    }
}
