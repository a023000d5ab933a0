// SPDX-License-Identifier: GPL-2.0

//! Roots: their list, their references, their end.

use super::{
    lock::{MmuLock, PagesLock},
    mode::{Exclusive, Locked},
    page::{ShadowPage, TableMemory},
    Role, Vm, Which,
};
use crate::{
    atomic::{lock, Ordering::SeqCst},
    machine::arena::PageId,
    sync::{rcu, Rcu},
};
use core::ops::Deref;

/// A counted reference to a root.
pub struct Root<'vm> {
    page: &'vm ShadowPage,
    vm: &'vm Vm,
    counted: bool,
}

impl<'vm> Root<'vm> {
    fn get(vm: &'vm Vm, page: &'vm ShadowPage) -> Option<Self> {
        page.references
            .fetch_update(SeqCst, SeqCst, |count| (count > 0).then_some(count + 1))
            .ok()?;
        Some(Self {
            page,
            vm,
            counted: true,
        })
    }

    /// Takes over a reference that a vCPU gives up.
    pub(crate) fn from_id(vm: &'vm Vm, id: PageId) -> Self {
        Self {
            page: vm.machine.arena.page(id),
            vm,
            counted: true,
        }
    }

    pub(super) fn into_id(mut self) -> PageId {
        self.counted = false;
        self.page.id()
    }

    /// If the root waits to be zapped, the TDP MMU's reference to it.
    pub fn take_scheduled_zap(&self) -> Option<Root<'vm>> {
        self.page.scheduled.swap(false, SeqCst).then(|| Self {
            page: self.page,
            vm: self.vm,
            counted: true,
        })
    }
}

impl Deref for Root<'_> {
    type Target = ShadowPage;

    fn deref(&self) -> &ShadowPage {
        self.page
    }
}

impl Drop for Root<'_> {
    fn drop(&mut self) {
        if self.counted && self.page.references.fetch_sub(1, SeqCst) == 1 {
            free(self.vm, self.page);
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

/// The roots on the list right now.
fn listed(vm: &Vm) -> impl Iterator<Item = &ShadowPage> {
    let ids = lock(&vm.roots).clone();
    ids.into_iter().map(|id| vm.machine.arena.page(id))
}

impl<'vm, M: Locked> MmuLock<'vm, M> {
    /// The first root behind `prev`, or of all, that `which` admits.
    pub fn next_root(&self, prev: Option<&Root<'vm>>, which: Which) -> Option<Root<'vm>> {
        let vm = self.vm();
        let _rcu = rcu::read_lock();
        let mut pages = listed(vm);
        if let Some(prev) = prev {
            let found = pages.any(|page| page.id() == prev.id());
            assert!(found, "a root with a reference is not on the list");
        }
        pages
            .filter(|page| which.admits(page.role()))
            .find_map(|page| Root::get(vm, page))
    }
}

impl MmuLock<'_, Exclusive> {
    /// The roots that `which` admits.
    pub fn roots(&self, which: Which) -> impl Iterator<Item = &ShadowPage> {
        listed(self.vm()).filter(move |page| which.admits(page.role()))
    }

    /// Keeps vCPUs from loading the valid roots again, and schedules each for being zapped.
    pub fn invalidate_roots(&self) {
        for page in self.roots(Which::VALID) {
            page.scheduled.store(true, SeqCst);
            page.set_role(page.role().invalidated());
        }
    }
}

/// The roots of `vm` that `which` admits, for as long as an RCU section lasts.
pub fn roots_rcu<'r>(
    vm: &'r Vm,
    _rcu: &'r impl Rcu,
    which: Which,
) -> impl Iterator<Item = &'r ShadowPage> {
    listed(vm).filter(move |page| which.admits(page.role()))
}

impl<'vm> PagesLock<'vm> {
    /// The root with `role`, with a reference to it.
    pub fn find_root(&self, role: Role) -> Option<Root<'vm>> {
        listed(self.vm())
            .find(|page| page.role() == role)
            .and_then(|page| Root::get(self.vm(), page))
    }

    /// Makes a root of `memory` and puts it on the list.
    pub fn insert_root(&self, memory: TableMemory, role: Role) -> Root<'vm> {
        let vm = self.vm();
        let page = vm.machine.arena.page(memory.into_root(role));
        page.references.store(2, SeqCst);
        lock(&vm.roots).push(page.id());
        Root {
            page,
            vm,
            counted: true,
        }
    }
}

impl Vm {
    /// Whether no root is left.
    pub fn has_no_roots(&self) -> bool {
        lock(&self.roots).is_empty()
    }
}
