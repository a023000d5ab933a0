// SPDX-License-Identifier: GPL-2.0

//! The list of tables that keep KVM from mapping huge pages: they map executable memory, which the NX
//! workaround wants in small pages.
//!
//! A page is on the list from when it was linked until it is cut off, or taken off for recovery. Whoever
//! cuts it off takes it off the list at once, in the same RCU section, under the pages lock. Its parent is not
//! freed before that section ends. So with the lock held, whatever is on the list is there, and so is
//! what links it.
//!
//! After the lock is gone, RCU alone keeps both, and only if they were not cut off before the section
//! began. That the parent still links the page, seen with the lock held, is what shows it. C looks
//! later, when parents may be gone.

#![forbid(unsafe_code)]

use super::{
    entry::{Entry, Link, State},
    vm_page::VmPage,
    Context, //
};
use crate::{
    kvm::lock::{MmuLock, Mode, Shared},
    sync::rcu, //
};

impl<'vm> MmuLock<'vm, Shared> {
    /// Takes the page off the list that has been on it longest. Those that were cut off go as well, and
    /// are passed over. `None` if there is no other.
    pub fn take_nx_page<'r>(&'r self, rcu: &'r rcu::Guard) -> Option<VmPage<'r>>
    where
        'vm: 'r,
    {
        let pages = self.vm().pages_lock();
        while let Some(page) = VmPage::first_on_nx_list(&pages, rcu) {
            let is_linked = Context::enter(self, rcu, &page)
                .is_some_and(|(cx, _)| page.parent_link(cx).is_some());
            page.untrack(&pages);
            if is_linked {
                return Some(page.kept_by(self.vm(), rcu));
            }
        }
        None
    }
}

impl VmPage<'_> {
    /// The entry that links the page, if it still does. `None` also for a page of another VM, which
    /// marks that of `cx` as broken.
    pub fn parent_link<'r, M: Mode>(&'r self, cx: Context<'r, M>) -> Option<Link<'r, M>> {
        match Entry::read_parent(cx, self)?.state() {
            State::Link(link) if self.owns(link.table()) => Some(link),
            _ => None,
        }
    }
}
