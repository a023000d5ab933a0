// SPDX-License-Identifier: GPL-2.0

//! `mn_invalidate_lock`, and what C counts under it.

use super::vm::Vm;
use crate::{
    atomic::{lock, spin, MutexGuard, Ordering::SeqCst},
    kvm::memory::changes::Changes,
};

/// A hold of `kvm->mn_invalidate_lock`.
pub(in crate::kvm::memory) struct ChangeLock<'vm>(&'vm Vm, MutexGuard<'vm, Changes>);

impl Vm {
    pub(in crate::kvm::memory) fn change_lock(&self) -> ChangeLock<'_> {
        ChangeLock(self, lock(&self.host.changes))
    }

    /// Who waits looks again and again.
    pub(in crate::kvm::memory) fn wake_after_change(&self, _last: bool) {}

    /// Waits until more changes than `ended` have ended. Returns false if the task is being killed.
    pub(in crate::kvm) fn wait_for_end(&self, ended: usize) -> bool {
        self.caches.waits.add(1);
        while self.host.ended.load(SeqCst) as usize == ended {
            if self.caches.is_task_killed() {
                return false;
            }
            spin();
        }
        true
    }
}

impl ChangeLock<'_> {
    pub(in crate::kvm::memory) fn changes(&mut self) -> &mut Changes {
        &mut self.1
    }

    pub(in crate::kvm::memory) fn count_begin(&mut self) {
        self.0.invalidations.block_slots();
    }

    pub(in crate::kvm::memory) fn count_end(&mut self, _elided: bool) -> Option<usize> {
        self.0.host.ended.fetch_add(1, SeqCst);
        let had_begun = self.0.invalidations.unblock_slots();
        had_begun.then(|| usize::from(self.0.slots_update_is_blocked()))
    }

    pub(in crate::kvm::memory) fn count_unmatched(&mut self) {
        self.0.stats.unmatched.add(1);
    }

    pub(in crate::kvm::memory) fn ended(&self) -> usize {
        self.0.host.ended.load(SeqCst) as usize
    }
}
