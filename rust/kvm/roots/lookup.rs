// SPDX-License-Identifier: GPL-2.0

//! How roots are found, made and invalidated.

#![forbid(unsafe_code)]

use super::{
    filter::RootFilter,
    raw::{
        count,
        list::{self, Links}, //
    },
    root::Root, //
};
use crate::{
    kvm::{
        lock::{Exclusive, Locked, MmuLock, PagesLock},
        memory::{AnyVm, SlotsLocked, Vm},
        table::{Role, ShadowPage, TableMemory, VmPage}, //
    },
    sync::{rcu, Rcu}, //
};
use core::ptr;

impl<'vm, M: Locked> MmuLock<'vm, M> {
    /// The first root behind `prev`, or of all, that `filter` admits, with a reference to it.
    ///
    /// There is none behind a root of another VM, which marks the VM as broken.
    pub fn next_root(&self, prev: Option<&Root<'vm>>, filter: RootFilter) -> Option<Root<'vm>> {
        let vm = self.vm();
        if prev.is_some_and(|prev| !ptr::eq(prev.vm(), vm)) {
            vm.bug();
            return None;
        }
        let rcu = rcu::read_lock();
        for page in Links::behind(vm, prev.map(|prev| &***prev), &rcu) {
            if filter.admits(page.role()) {
                if let Some(root) = Root::get(vm, page) {
                    return Some(root);
                }
            }
        }
        None
    }
}

impl MmuLock<'_, Exclusive> {
    /// The roots that `filter` admits, whose validity cannot change during the lock hold. RCU keeps
    /// them: a [`Root`] may be dropped without the lock.
    #[inline(always)]
    pub fn roots<'r>(
        &'r self,
        rcu: &'r impl Rcu,
        filter: RootFilter,
    ) -> impl Iterator<Item = VmPage<'r>> {
        roots_rcu(self.vm(), rcu, filter)
    }

    /// Keeps vCPUs from loading the valid roots again, and schedules each for being zapped.
    ///
    /// The TDP MMU's reference to each goes to the first caller of
    /// [`take_scheduled_zap`](Root::take_scheduled_zap).
    /// It is refused to who holds the `slots_lock` of another VM.
    pub fn invalidate_roots(&self, slots: &SlotsLocked<'_>) {
        if !ptr::eq(slots.vm(), self.vm()) {
            return self.vm().bug();
        }
        let rcu = rcu::read_lock();
        for page in self.roots(&rcu, RootFilter::VALID) {
            count::schedule_zap(&page, slots);
            // `mmu_lock` is held for write, so nobody else writes the role.
            page.set_role(page.role().invalidated());
        }
    }
}

/// The roots of `vm` that `filter` admits, for as long as an RCU section lasts.
#[inline(always)]
pub fn roots_rcu<'r>(
    vm: &'r Vm,
    rcu: &'r impl Rcu,
    filter: RootFilter,
) -> impl Iterator<Item = VmPage<'r>> {
    any_roots_rcu(vm, rcu, filter).map(move |page| VmPage::new(vm, page))
}

/// The same for a VM of either backend: to be looked at, and no more.
#[inline(always)]
pub fn any_roots_rcu<'r>(
    vm: &'r AnyVm,
    rcu: &'r impl Rcu,
    filter: RootFilter,
) -> impl Iterator<Item = &'r ShadowPage> {
    Links::behind(vm, None, rcu).filter(move |page| filter.admits(page.role()))
}

impl<'vm> PagesLock<'vm> {
    /// The root with `role`, with a reference to it.
    pub fn find_root(&self, role: Role) -> Option<Root<'vm>> {
        // A root with this role is valid, so it has at least the list's reference.
        Links::locked(self)
            .find(|page| page.role().word() == role.word())
            .and_then(|page| Root::get(self.vm(), page))
    }

    /// Makes a root of `memory` and puts it on the list.
    ///
    /// It starts with two references: the one returned, and the list's own. `None` for a role that
    /// no vCPU's root has, which marks the VM as broken.
    pub fn insert_root(&self, memory: TableMemory, role: Role) -> Option<Root<'vm>> {
        if role.is_invalid() || role.level().is_none() {
            self.vm().bug();
            return None;
        }
        let page = memory.into_root(self.vm(), role);
        count::set(page, 2);
        list::add(page, self);
        // INVARIANT: One of the two references is the caller's.
        Some(Root::counted(VmPage::new(self.vm(), page)))
    }
}
