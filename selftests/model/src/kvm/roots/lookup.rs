// SPDX-License-Identifier: GPL-2.0

//! How roots are found, made and invalidated.

use super::{filter::RootFilter, root::Root};
use crate::{
    atomic::{lock, Ordering::SeqCst},
    kvm::{
        lock::{Exclusive, Locked, MmuLock, PagesLock},
        memory::{SlotsLocked, Vm},
        table::{Role, ShadowPage, TableMemory, VmPage},
    },
    sync::{rcu, Rcu},
};

/// The roots on the list right now.
fn listed(vm: &Vm) -> impl Iterator<Item = &ShadowPage> {
    let ids = lock(&vm.roots).clone();
    ids.into_iter().map(|id| vm.machine.arena.page(id))
}

impl<'vm, M: Locked> MmuLock<'vm, M> {
    /// The first root behind `prev`, or of all, that `filter` admits.
    pub fn next_root(&self, prev: Option<&Root<'vm>>, filter: RootFilter) -> Option<Root<'vm>> {
        let vm = self.vm();
        if prev.is_some_and(|prev| !core::ptr::eq(prev.vm(), vm)) {
            vm.bug();
            return None;
        }
        let _rcu = rcu::read_lock();
        let mut pages = listed(vm);
        if let Some(prev) = prev {
            let found = pages.any(|page| page.id() == prev.id());
            assert!(found, "a root with a reference is not on the list");
        }
        pages
            .filter(|page| filter.admits(page.role()))
            .find_map(|page| Root::get(vm, page))
    }
}

impl MmuLock<'_, Exclusive> {
    /// The roots that `filter` admits.
    pub fn roots<'r>(
        &'r self,
        rcu: &'r impl Rcu,
        filter: RootFilter,
    ) -> impl Iterator<Item = VmPage<'r>> {
        roots_rcu(self.vm(), rcu, filter)
    }

    /// Keeps vCPUs from loading the valid roots again, and schedules each for being zapped.
    pub fn invalidate_roots(&self, slots: &SlotsLocked<'_>) {
        if !core::ptr::eq(slots.vm(), self.vm()) {
            return self.vm().bug();
        }
        let rcu = rcu::read_lock();
        for page in self.roots(&rcu, RootFilter::VALID) {
            page.scheduled.store(true, SeqCst);
            page.set_role(page.role().invalidated());
        }
    }
}

/// The roots of `vm` that `filter` admits, for as long as an RCU section lasts.
pub fn roots_rcu<'r>(
    vm: &'r Vm,
    rcu: &'r impl Rcu,
    filter: RootFilter,
) -> impl Iterator<Item = VmPage<'r>> {
    any_roots_rcu(vm, rcu, filter).map(move |page| VmPage::new(vm, page))
}

/// The same for a VM of either backend: to be looked at, and no more.
pub fn any_roots_rcu<'r>(
    vm: &'r Vm,
    _rcu: &'r impl Rcu,
    filter: RootFilter,
) -> impl Iterator<Item = &'r ShadowPage> {
    listed(vm).filter(move |page| filter.admits(page.role()))
}

impl<'vm> PagesLock<'vm> {
    /// The root with `role`, with a reference to it.
    pub fn find_root(&self, role: Role) -> Option<Root<'vm>> {
        listed(self.vm())
            .find(|page| page.role() == role)
            .and_then(|page| Root::get(self.vm(), page))
    }

    /// Makes a root of `memory` and puts it on the list.
    pub fn insert_root(&self, memory: TableMemory, role: Role) -> Option<Root<'vm>> {
        let vm = self.vm();
        if role.is_invalid() || role.level().is_none() {
            vm.bug();
            return None;
        }
        let page = vm.machine.arena.page(memory.into_root(role));
        page.references.store(2, SeqCst);
        lock(&vm.roots).push(page.id());
        Some(Root::from_id(vm, page.id()))
    }
}

impl Vm {
    /// Whether no root is left.
    pub fn has_no_roots(&self) -> bool {
        lock(&self.roots).is_empty()
    }
}
