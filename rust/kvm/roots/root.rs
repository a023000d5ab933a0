// SPDX-License-Identifier: GPL-2.0

//! A counted reference to a root, and the root's end.

#![forbid(unsafe_code)]

use super::raw::{
    count,
    list, //
};
use crate::kvm::{
    memory::{SlotsLocked, Vm},
    table::{ShadowPage, VmPage}, //
};
use core::{
    ops::Deref,
    ptr, //
};

/// A counted reference to a root.
///
/// # Invariants
///
/// The value owns one of the root's references.
pub struct Root<'vm>(VmPage<'vm>);

impl<'vm> Root<'vm> {
    /// Takes a reference, unless the last one is gone already.
    #[inline]
    pub(super) fn get(vm: &'vm Vm, page: &ShadowPage) -> Option<Self> {
        let page = count::get(vm, page)?;
        // INVARIANT: The reference was just taken.
        Some(Self(VmPage::new(vm, page)))
    }

    /// Takes over a reference to `page`, which the list has given up or that comes from C.
    #[inline]
    pub(super) fn counted(page: VmPage<'vm>) -> Self {
        // INVARIANT: The reference is the value's from now on.
        Self(page)
    }

    /// If the root waits to be zapped, the reference that the TDP MMU holds until that is done.
    ///
    /// It is refused to who holds the `slots_lock` of another VM.
    pub fn take_scheduled_zap(&self, slots: &SlotsLocked<'_>) -> Option<Root<'vm>> {
        if !ptr::eq(slots.vm(), self.vm()) {
            self.vm().bug();
            return None;
        }
        if !count::take_scheduled_zap(self, slots) {
            return None;
        }
        // INVARIANT: `invalidate_roots()` left the list's reference to the one that clears the flag.
        Some(Self::counted(VmPage::again(self)))
    }
}

impl<'vm> Deref for Root<'vm> {
    type Target = VmPage<'vm>;

    #[inline(always)]
    fn deref(&self) -> &VmPage<'vm> {
        &self.0
    }
}

impl Drop for Root<'_> {
    #[inline]
    fn drop(&mut self) {
        if count::put(self) {
            free(self.vm(), self);
        }
    }
}

/// Takes a root without references off the list.
#[cold]
fn free(vm: &Vm, root: &ShadowPage) {
    // The list's own reference outlives validity, so this cannot happen to a valid root.
    if !root.role().is_invalid() {
        vm.bug();
    }
    let lock = vm.pages_lock();
    list::remove(root, &lock);
    drop(lock);
    // The root was just made unreachable, and references are gone for good.
    root.free_by_rcu(vm);
}
