// SPDX-License-Identifier: GPL-2.0

//! `kvm->mmu_lock`, a rwlock, as two kinds of hold.
//!
//! A [`MmuLock`] is proof that the lock is held one way or the other, and the only right to drop
//! it for a while.

use crate::kvm::{
    lock::mode::Locked,
    memory::Vm, //
};
use core::{
    marker::PhantomData,
    ops::{Deref, DerefMut}, //
};
use kernel::types::NotThreadSafe;
use kvm_bindings as bindings;

/// Proof that the current task holds `mmu_lock` as `M` says.
///
/// # Invariants
///
/// The lock is held whenever no method of the value is running.
pub struct MmuLock<'vm, M: Locked> {
    vm: &'vm Vm,
    _mode: PhantomData<M>,
    _task: NotThreadSafe,
}

impl<'vm, M: Locked> MmuLock<'vm, M> {
    /// Takes note that C's caller holds the lock.
    ///
    /// # Safety
    ///
    /// The current task must hold the lock of `vm` as `M` says until the value is gone, and expect
    /// that it is dropped and taken again in between, wherever this module's C interface allows it.
    #[inline(always)]
    pub unsafe fn assume_held(vm: &'vm Vm) -> Self {
        // SAFETY: The VM is alive.
        unsafe {
            if M::SHARED {
                bindings::kvmrs_mmu_assert_held_read(vm.as_ptr());
            } else {
                bindings::kvmrs_mmu_assert_held_write(vm.as_ptr());
            }
        }
        // INVARIANT: The current task holds the lock until the value is gone.
        Self {
            vm,
            _mode: PhantomData,
            _task: NotThreadSafe,
        }
    }

    /// The VM whose lock it is.
    #[inline(always)]
    pub fn vm(&self) -> &'vm Vm {
        self.vm
    }

    /// Drops the lock and takes it again, and gives the CPU away, if others want either.
    #[inline(always)]
    pub(in crate::kvm::lock) fn cond_resched(&mut self) {
        // SAFETY: By the type's invariant the lock is held in the mode that is dropped and retaken.
        unsafe {
            if M::SHARED {
                bindings::kvmrs_mmu_cond_resched_read(self.vm.as_ptr());
            } else {
                bindings::kvmrs_mmu_cond_resched_write(self.vm.as_ptr());
            }
        }
    }

    /// Drops the lock, runs `sleep`, and takes the lock again.
    #[inline(always)]
    pub(in crate::kvm::lock) fn without<R>(&mut self, sleep: impl FnOnce() -> R) -> R {
        // SAFETY: By the type's invariant the lock is held in this mode.
        unsafe { unlock::<M>(self.vm) };
        let result = sleep();
        lock::<M>(self.vm);
        result
    }
}

#[inline(always)]
fn lock<M: Locked>(vm: &Vm) {
    // SAFETY: The VM is alive, and its lock initialised.
    unsafe {
        if M::SHARED {
            bindings::kvmrs_mmu_read_lock(vm.as_ptr());
        } else {
            bindings::kvmrs_mmu_write_lock(vm.as_ptr());
        }
    }
}

/// # Safety
///
/// The current task must hold the lock of `vm` as `M` says.
#[inline(always)]
unsafe fn unlock<M: Locked>(vm: &Vm) {
    // SAFETY: The current task holds the lock as `M` says.
    unsafe {
        if M::SHARED {
            bindings::kvmrs_mmu_read_unlock(vm.as_ptr());
        } else {
            bindings::kvmrs_mmu_write_unlock(vm.as_ptr());
        }
    }
}

/// A hold of `mmu_lock` that ends with the value.
///
/// # Invariants
///
/// The hold was taken for the guard alone.
#[must_use = "the lock is dropped at once if the guard is unused"]
pub struct MmuGuard<'vm, M: Locked>(MmuLock<'vm, M>);

impl<'vm, M: Locked> MmuGuard<'vm, M> {
    /// Takes the lock.
    #[inline]
    pub(in crate::kvm::lock) fn new(vm: &'vm Vm) -> Self {
        lock::<M>(vm);
        // SAFETY: The lock was just taken for the guard.
        unsafe { Self::just_taken(vm) }
    }

    /// Takes over a hold of the lock of `vm`.
    ///
    /// # Safety
    ///
    /// The current task must have just taken the lock as `M` says, and leave it to the guard to drop it.
    #[inline(always)]
    pub(in crate::kvm) unsafe fn just_taken(vm: &'vm Vm) -> Self {
        // SAFETY: The lock is held, and `drop()` is what ends the hold.
        // INVARIANT: The hold is the guard's from now on.
        Self(unsafe { MmuLock::assume_held(vm) })
    }
}

impl<'vm, M: Locked> Deref for MmuGuard<'vm, M> {
    type Target = MmuLock<'vm, M>;

    #[inline(always)]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<M: Locked> DerefMut for MmuGuard<'_, M> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<M: Locked> Drop for MmuGuard<'_, M> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type's invariant the lock is held.
        unsafe { unlock::<M>(self.0.vm) };
    }
}

impl Vm {
    /// Whether somebody waits for the CPU or for `mmu_lock`.
    #[inline(always)]
    pub fn wants_break(&self) -> bool {
        // SAFETY: The VM is alive.
        unsafe {
            bindings::kvmrs_need_resched() || bindings::kvmrs_mmu_lock_needbreak(self.as_ptr())
        }
    }
}
