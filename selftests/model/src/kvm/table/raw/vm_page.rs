// SPDX-License-Identifier: GPL-2.0

//! Headers that C knows by their number, or by its list of those that keep it from mapping huge pages.

use crate::{
    atomic::plain::lock,
    kvm::{lock::PagesLock, memory::Vm, table::vm_page::VmPage},
    machine::arena::PageId,
    sync::rcu,
};

impl<'l> VmPage<'l> {
    /// The page with the lowest number. C's is the one that has been on the list longest.
    pub(in crate::kvm::table) fn first_on_nx_list(
        pages: &'l PagesLock<'_>,
        _rcu: &'l rcu::Guard,
    ) -> Option<Self> {
        let vm = pages.vm();
        let id = lock(&vm.nx_pages).first().copied()?;
        Some(Self::from_id(vm, id))
    }

    /// The page for as long as an RCU section lasts.
    pub(in crate::kvm::table) fn kept_by<'r>(
        &self,
        vm: &'r Vm,
        _rcu: &'r rcu::Guard,
    ) -> VmPage<'r> {
        VmPage::from_id(vm, self.id())
    }
}

impl<'r> VmPage<'r> {
    /// The page with number `id`, which is one of `vm`.
    pub(crate) fn from_id(vm: &'r Vm, id: PageId) -> Self {
        Self::new(vm, vm.machine.arena.page(id))
    }
}
