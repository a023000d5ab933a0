// SPDX-License-Identifier: GPL-2.0

//! The address space of the VM's process, which goes with its last user.

use crate::{
    atomic::{
        AtomicUsize,
        Ordering::{AcqRel, Relaxed},
    },
    kvm::memory::Vm,
};

/// How many use it.
pub(super) struct Users(AtomicUsize);

impl Default for Users {
    /// The process.
    fn default() -> Self {
        Self(AtomicUsize::new(1))
    }
}

impl Vm {
    /// `mmget_not_zero()`.
    pub(super) fn get_mm(&self) -> bool {
        let users = &self.caches.users.0;
        let more = |users| (users != 0).then_some(users + 1);
        users.fetch_update(AcqRel, Relaxed, more).is_ok()
    }

    /// `mmput()`. With the last user the pages go, and after `release` nobody hears of that.
    pub fn put_mm(&self) {
        if self.caches.users.0.fetch_sub(1, AcqRel) == 1 {
            self.invalidate_all_caches();
            for page in self.primary.free_all() {
                self.caches.reuse(page.pfn);
            }
        }
    }
}
