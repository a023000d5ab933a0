// SPDX-License-Identifier: GPL-2.0

//! `mn_invalidate_lock`, and what C counts under it.

use super::vm::Vm;
use crate::kvm::memory::changes::Changes;
use kernel::types::NotThreadSafe;
use kvm_bindings as bindings;

/// A hold of `kvm->mn_invalidate_lock`.
///
/// # Invariants
///
/// The lock was taken for the value alone.
#[must_use = "the lock is dropped at once if the guard is unused"]
pub(in crate::kvm::memory) struct ChangeLock<'vm>(&'vm Vm, NotThreadSafe);

impl Vm {
    /// Takes the lock.
    #[inline(always)]
    pub(in crate::kvm::memory) fn change_lock(&self) -> ChangeLock<'_> {
        // SAFETY: The VM is alive.
        unsafe { bindings::kvmrs_mn_invalidate_lock(self.as_ptr()) };
        // INVARIANT: It was just taken.
        ChangeLock(self, NotThreadSafe)
    }

    /// Wakes who waits for the end of a change, and if it was the last that was going on, who wants to
    /// change slots.
    #[inline(always)]
    pub(in crate::kvm::memory) fn wake_after_change(&self, last: bool) {
        self.state().ends().wake_all();
        if last {
            // SAFETY: The VM is alive. There is one waiter at most, as it holds `slots_lock`.
            unsafe {
                let waiter = &raw mut (*self.as_ptr()).mn_memslots_update_rcuwait;
                kernel::bindings::rcuwait_wake_up(waiter);
            }
        }
    }

    /// Waits until more changes than `ended` have ended. Returns false if the task is being killed.
    pub(in crate::kvm) fn wait_for_end(&self, ended: usize) -> bool {
        // SAFETY: The VM is alive, and the count is one word.
        let now = || unsafe { (&raw const (*self.as_ptr()).gpc_invalidate_seq).read_volatile() };
        self.state().ends().wait_killable(|| now() != ended)
    }
}

impl ChangeLock<'_> {
    /// The changes that have places.
    #[inline(always)]
    pub(in crate::kvm::memory) fn changes(&mut self) -> &mut Changes {
        // SAFETY: By the type's invariant the lock is held, which guards them, and the reference ends
        // before it is dropped.
        unsafe { &mut *self.0.state().changes().get() }
    }

    /// Counts one more as going on.
    #[inline(always)]
    pub(in crate::kvm::memory) fn count_begin(&mut self) {
        // SAFETY: The VM is alive, and the lock held.
        unsafe { (*self.0.as_ptr()).mn_active_invalidate_count += 1 };
    }

    /// Counts one less, and one more that has ended, as elided if it concerned no slot. Returns how many
    /// are still going on, `None` if there was none.
    #[inline(always)]
    pub(in crate::kvm::memory) fn count_end(&mut self, elided: bool) -> Option<usize> {
        let kvm = self.0.as_ptr();
        // SAFETY: The VM is alive, and the lock held.
        unsafe {
            bindings::kvmrs_count_invalidation(kvm, elided);
            let ended = (*kvm).gpc_invalidate_seq.wrapping_add(1);
            (&raw mut (*kvm).gpc_invalidate_seq).write_volatile(ended);
            let others = (*kvm).mn_active_invalidate_count.checked_sub(1);
            (*kvm).mn_active_invalidate_count = others.unwrap_or(0);
            others
        }
    }

    /// The end that was counted last had no start.
    #[inline(always)]
    pub(in crate::kvm::memory) fn count_unmatched(&mut self) {
        let kvm = self.0.as_ptr();
        // SAFETY: The VM is alive, and the lock held. Others only read the number, or clear it.
        unsafe { (*kvm).stat.generic.mmu_notifier_unmatched += 1 };
    }

    /// How many have ended. May wrap.
    #[inline(always)]
    pub(in crate::kvm::memory) fn ended(&self) -> usize {
        // SAFETY: The VM is alive, and the lock held.
        unsafe { (*self.0.as_ptr()).gpc_invalidate_seq }
    }
}

impl Drop for ChangeLock<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: By the type's invariant the lock is held.
        unsafe { bindings::kvmrs_mn_invalidate_unlock(self.0.as_ptr()) };
    }
}
