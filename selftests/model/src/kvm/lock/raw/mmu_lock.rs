// SPDX-License-Identifier: GPL-2.0

//! `mmu_lock`: a `std` rwlock that is really taken and dropped.

use crate::{
    atomic::{last_access, yield_now, PoisonError, RwLockReadGuard, RwLockWriteGuard},
    kvm::{lock::mode::Locked, memory::Vm},
    lockdep,
};
use core::{
    marker::PhantomData,
    ops::{Deref, DerefMut},
};

/// Number of times that walks may give way during one hold: more than the trees of a test's VM have
/// entries.
const MANY: u32 = 1 << 15;
/// Number of times in a row that they may do so at the same entry: each of the passes over a root
/// can on the way into a table and at the table's first entry, and before it begins if it is long.
const AT_ONE_ENTRY: u32 = 16;

/// The hold itself.
struct Hold<'vm> {
    vm: &'vm Vm,
    _guard: Guard<'vm>,
}

#[allow(dead_code)] // Held for being dropped.
enum Guard<'vm> {
    Read(RwLockReadGuard<'vm, ()>),
    Write(RwLockWriteGuard<'vm, ()>),
}

impl<'vm> Hold<'vm> {
    fn take<M: Locked>(vm: &'vm Vm) -> Self {
        lockdep::acquire_mmu();
        let lock = &vm.mmu_lock;
        let guard = if M::SHARED {
            Guard::Read(lock.read().unwrap_or_else(PoisonError::into_inner))
        } else {
            Guard::Write(lock.write().unwrap_or_else(PoisonError::into_inner))
        };
        let hold = Self { vm, _guard: guard };
        if !M::SHARED {
            vm.debt.check();
        }
        vm.debt.open();
        hold
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        // The guard itself goes after this: what is owed is still owed under the lock.
        lockdep::release_mmu();
        if !std::thread::panicking() {
            self.vm.debt.close();
        }
    }
}

/// Proof that the current task holds `mmu_lock` as `M` says.
pub struct MmuLock<'vm, M: Locked> {
    vm: &'vm Vm,
    hold: Option<Hold<'vm>>,
    progress: Progress,
    _mode: PhantomData<M>,
}

/// Where walks gave way during a hold. Each pass of a walk has to get further before it may again.
#[derive(Default)]
struct Progress {
    times: u32,
    place: Option<usize>,
    there: u32,
}

impl Progress {
    fn gives_way(&mut self) {
        let place = last_access();
        let stays = place.is_some() && place == self.place;
        self.there = if stays { self.there + 1 } else { 0 };
        self.place = place;
        self.times += 1;
        let gets_on = self.times < MANY && self.there < AT_ONE_ENTRY;
        assert!(gets_on, "a walk makes no progress");
    }
}

impl<'vm, M: Locked> MmuLock<'vm, M> {
    fn new(vm: &'vm Vm) -> Self {
        Self {
            vm,
            hold: Some(Hold::take::<M>(vm)),
            progress: Progress::default(),
            _mode: PhantomData,
        }
    }

    /// The VM whose lock it is.
    pub fn vm(&self) -> &'vm Vm {
        self.vm
    }

    pub(in crate::kvm::lock) fn cond_resched(&mut self) {
        let vm = self.vm;
        self.without(|| {
            yield_now();
            vm.breaks.run_hook();
        });
    }

    pub(in crate::kvm::lock) fn without<R>(&mut self, sleep: impl FnOnce() -> R) -> R {
        lockdep::might_give_way();
        self.progress.gives_way();
        self.hold = None;
        self.vm.breaks.gave_way();
        let result = sleep();
        self.hold = Some(Hold::take::<M>(self.vm));
        result
    }
}

/// A hold of `mmu_lock` that ends with the value.
#[must_use = "the lock is dropped at once if the guard is unused"]
pub struct MmuGuard<'vm, M: Locked>(MmuLock<'vm, M>);

impl<'vm, M: Locked> MmuGuard<'vm, M> {
    pub(in crate::kvm::lock) fn new(vm: &'vm Vm) -> Self {
        Self(MmuLock::new(vm))
    }
}

impl<'vm, M: Locked> Deref for MmuGuard<'vm, M> {
    type Target = MmuLock<'vm, M>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<M: Locked> DerefMut for MmuGuard<'_, M> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

// As in the kernel, where the end of the hold is what dropping is for.
impl<M: Locked> Drop for MmuGuard<'_, M> {
    fn drop(&mut self) {
        self.0.hold = None;
    }
}

impl Vm {
    /// Whether somebody waits for the CPU or for `mmu_lock`: what the test's pattern says.
    pub fn wants_break(&self) -> bool {
        self.breaks.wanted()
    }
}
