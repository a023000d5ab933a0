// SPDX-License-Identifier: GPL-2.0

//! A counted reference to a root, and the root's end.

use crate::{
    atomic::{lock, Ordering::SeqCst},
    kvm::{
        memory::{SlotsLocked, Vm},
        table::{ShadowPage, VmPage},
    },
    machine::arena::PageId,
};
use core::ops::Deref;

/// A counted reference to a root.
pub struct Root<'vm> {
    page: VmPage<'vm>,
    counted: bool,
}

impl<'vm> Root<'vm> {
    pub(super) fn get(vm: &'vm Vm, page: &'vm ShadowPage) -> Option<Self> {
        page.references
            .fetch_update(SeqCst, SeqCst, |count| (count > 0).then_some(count + 1))
            .ok()?;
        Some(Self {
            page: VmPage::new(vm, page),
            counted: true,
        })
    }

    /// Takes over a reference that a vCPU gives up.
    pub(crate) fn from_id(vm: &'vm Vm, id: PageId) -> Self {
        Self {
            page: VmPage::from_id(vm, id),
            counted: true,
        }
    }

    pub(in crate::kvm) fn into_id(mut self) -> PageId {
        self.counted = false;
        self.page.id()
    }

    /// If the root waits to be zapped, the TDP MMU's reference to it.
    pub fn take_scheduled_zap(&self, slots: &SlotsLocked<'_>) -> Option<Root<'vm>> {
        if !core::ptr::eq(slots.vm(), self.vm()) {
            self.vm().bug();
            return None;
        }
        let scheduled = self.page.scheduled.swap(false, SeqCst);
        scheduled.then(|| Self::from_id(self.vm(), self.id()))
    }
}

impl<'vm> Deref for Root<'vm> {
    type Target = VmPage<'vm>;

    fn deref(&self) -> &VmPage<'vm> {
        &self.page
    }
}

impl Drop for Root<'_> {
    fn drop(&mut self) {
        if self.counted && self.page.references.fetch_sub(1, SeqCst) == 1 {
            free(self.vm(), self);
        }
    }
}

fn free(vm: &Vm, root: &ShadowPage) {
    if !root.role().is_invalid() {
        vm.bug();
    }
    let pages = vm.pages_lock();
    lock(&vm.roots).retain(|id| *id != root.id());
    drop(pages);
    root.free_by_rcu(vm);
}
