// SPDX-License-Identifier: GPL-2.0

//! The memory of a page table that everyone may reach.

use super::page::ShadowPage;
use crate::{
    kvm::{
        memory::{AnyVm, Vm},
        spte::SpteCell,
        types::{Gfn, Level, ENTRIES},
    },
    machine::arena::PageId,
};

/// The entries of a table.
#[derive(Clone, Copy)]
pub(in crate::kvm) struct Cells<'r>(&'r ShadowPage);

impl<'r> Cells<'r> {
    pub(super) fn of(page: &'r ShadowPage) -> Self {
        Self(page)
    }

    /// The table at `pa`, which must be one for `level` and `gfn`.
    pub(in crate::kvm::table) fn at(vm: &'r AnyVm, pa: u64, gfn: Gfn, level: Level) -> Self {
        let page = vm.machine.arena.page(PageId::at(pa));
        page.assert_made_for(gfn, level);
        Self(page)
    }

    pub(in crate::kvm::table) fn all(self) -> &'r [SpteCell; ENTRIES] {
        self.0.entries()
    }

    pub(in crate::kvm::table) fn page(self) -> &'r ShadowPage {
        self.0.alive();
        self.0
    }

    pub(in crate::kvm::table) fn account(self, vm: &Vm, count: i32) {
        vm.stats.tables.add(count.into());
    }
}
