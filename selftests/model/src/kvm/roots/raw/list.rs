// SPDX-License-Identifier: GPL-2.0

//! The list of a VM's roots. Who walks it sees it as it was at the beginning.

use crate::{
    atomic::lock,
    kvm::{
        lock::PagesLock,
        memory::{AnyVm, Vm},
        table::ShadowPage,
    },
    machine::arena::PageId,
    sync::Rcu,
};
use std::vec::IntoIter;

/// Walks the list, without taking references.
pub(in crate::kvm::roots) struct Links<'r> {
    vm: &'r AnyVm,
    ids: IntoIter<PageId>,
}

impl<'r> Links<'r> {
    fn all(vm: &'r AnyVm) -> Self {
        let ids = lock(&vm.roots).clone().into_iter();
        Self { vm, ids }
    }

    pub(in crate::kvm::roots) fn behind(
        vm: &'r AnyVm,
        prev: Option<&ShadowPage>,
        _rcu: &'r impl Rcu,
    ) -> Self {
        let mut links = Self::all(vm);
        if let Some(prev) = prev {
            let found = links.any(|page| page.id() == prev.id());
            assert!(found, "a root with a reference is not on the list");
        }
        links
    }

    pub(in crate::kvm::roots) fn locked(lock: &'r PagesLock<'_>) -> Self {
        Self::all(lock.vm())
    }
}

impl<'r> Iterator for Links<'r> {
    type Item = &'r ShadowPage;

    fn next(&mut self) -> Option<&'r ShadowPage> {
        let id = self.ids.next()?;
        Some(self.vm.machine.arena.page(id))
    }
}

pub(in crate::kvm::roots) fn add(root: &ShadowPage, pages: &PagesLock<'_>) {
    lock(&pages.vm().roots).push(root.id());
}

pub(in crate::kvm::roots) fn remove(root: &ShadowPage, pages: &PagesLock<'_>) {
    lock(&pages.vm().roots).retain(|id| *id != root.id());
}

impl Vm {
    /// Whether no root is left.
    pub fn has_no_roots(&self) -> bool {
        lock(&self.roots).is_empty()
    }
}
