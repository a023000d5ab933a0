// SPDX-License-Identifier: GPL-2.0

//! The pages lock.

use crate::{
    atomic::{self, MutexGuard},
    kvm::memory::Vm,
    lockdep,
};

/// The pages lock.
#[must_use = "the lock is dropped at once if the guard is unused"]
pub struct PagesLock<'vm> {
    vm: &'vm Vm,
    _guard: MutexGuard<'vm, ()>,
}

impl<'vm> PagesLock<'vm> {
    /// The VM whose lock it is.
    pub fn vm(&self) -> &'vm Vm {
        self.vm
    }
}

impl Vm {
    /// Takes the pages lock.
    pub fn pages_lock(&self) -> PagesLock<'_> {
        lockdep::acquire_pages();
        PagesLock {
            vm: self,
            _guard: atomic::lock(&self.pages_lock),
        }
    }
}

impl Drop for PagesLock<'_> {
    fn drop(&mut self) {
        lockdep::release_pages();
    }
}
