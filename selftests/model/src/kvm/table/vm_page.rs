// SPDX-License-Identifier: GPL-2.0

//! A live page table, with the VM that it belongs to.

use super::page::ShadowPage;
use crate::{
    kvm::{memory::Vm, spte::SpteCell},
    machine::arena::PageId,
};
use core::ops::Deref;

/// The header of a live page table of `vm`.
pub struct VmPage<'r> {
    vm: &'r Vm,
    page: &'r ShadowPage,
}

impl<'r> VmPage<'r> {
    pub(in crate::kvm) fn new(vm: &'r Vm, page: &'r ShadowPage) -> Self {
        Self { vm, page }
    }

    /// The page with number `id`, which is one of `vm`.
    pub(crate) fn from_id(vm: &'r Vm, id: PageId) -> Self {
        Self::new(vm, vm.machine.arena.page(id))
    }

    pub(super) fn parent_cell(&self) -> Option<&SpteCell> {
        self.page.parent_cell(self.vm)
    }

    /// The VM.
    pub fn vm(&self) -> &'r Vm {
        self.vm
    }

    /// Puts the page on the list of those that keep KVM from mapping a huge page.
    pub fn track_possible_nx_huge_page(&self) {
        let lock = self.vm.pages_lock();
        self.page.track_possible_nx_huge_page(&lock);
    }
}

impl Deref for VmPage<'_> {
    type Target = ShadowPage;

    fn deref(&self) -> &ShadowPage {
        self.page
    }
}
