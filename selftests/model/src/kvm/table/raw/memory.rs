// SPDX-License-Identifier: GPL-2.0

//! The memory of a page table that nobody can reach yet.

use super::{page::ShadowPage, role::Role};
use crate::{
    atomic::Arc,
    kvm::{
        memory::AnyVm,
        spte::{Spte, SpteCell},
        types::{Gfn, ENTRIES},
    },
    lockdep,
    machine::{arena::PageId, Machine},
};

/// What an entry holds that was never written: as good as anything.
const GARBAGE: Spte = Spte::new(0xa5a5_a5a5_a5a5_a5a5);

/// Memory for a table.
pub struct TableMemory {
    machine: Arc<Machine>,
    id: PageId,
    owned: bool,
}

impl TableMemory {
    pub(in crate::kvm) fn alloc(machine: Arc<Machine>) -> Self {
        let id = machine.arena.allocate();
        Self {
            machine,
            id,
            owned: true,
        }
    }

    pub(in crate::kvm::table) fn alloc_garbage() -> Option<Self> {
        lockdep::might_sleep("allocating a table");
        let machine = Machine::current();
        let memory = machine.may_allocate().then(|| Self::alloc(machine))?;
        let cells = memory.page().entries();
        cells.iter().for_each(|cell| cell.init(GARBAGE));
        Some(memory)
    }

    pub(in crate::kvm::table) fn init(&self, parent: Option<&SpteCell>, gfn: Gfn, role: Role) {
        self.page().init(parent, gfn, role);
    }

    pub(in crate::kvm::table) fn page(&self) -> &ShadowPage {
        self.machine.arena.page(self.id)
    }

    pub(in crate::kvm::table) fn pa(&self) -> u64 {
        self.id.pa()
    }

    pub(in crate::kvm::table) fn write(&mut self, index: usize, spte: Spte) {
        self.page().entries()[index % ENTRIES].init(spte);
    }

    pub(in crate::kvm::table) fn publish(mut self, vm: &AnyVm) -> &ShadowPage {
        self.owned = false;
        vm.machine.arena.page(self.id)
    }
}

impl Drop for TableMemory {
    fn drop(&mut self) {
        if self.owned {
            self.machine.arena.free(self.id);
        }
    }
}
