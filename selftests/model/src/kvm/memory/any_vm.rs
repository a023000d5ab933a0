// SPDX-License-Identifier: GPL-2.0

//! A VM and its memory slots, for those who only look.

use super::{memslot::MemSlot, raw::Vm};
use crate::kvm::types::{AddressSpace, Gfn, Level, Pfn};
use std::sync::PoisonError;

/// A VM of whichever backend: the model has but one.
pub type AnyVm = Vm;

/// The memslots of a VM, while they stay.
pub struct AnySlots<'vm>(&'vm Vm);

impl<'vm> AnySlots<'vm> {
    pub(in crate::kvm) fn vm(&self) -> &'vm Vm {
        self.0
    }

    /// The slot that `gfn` lies in, in `address_space`.
    pub fn find(&self, address_space: AddressSpace, gfn: Gfn) -> Option<&MemSlot> {
        self.0.slot(address_space, gfn)
    }
}

/// The host's page tables.
pub struct HostTables<'vm>(&'vm Vm);

impl HostTables<'_> {
    /// Whether the host has `pfn` where `slot`, which contains `gfn`, shows it, in a page of `level`
    /// or a larger one.
    pub fn has(&self, slot: &MemSlot, gfn: Gfn, level: Level, pfn: Pfn) -> bool {
        let host = slot.host_of(gfn);
        let page = self.0.primary.page(host);
        page.is_some_and(|page| page.level >= level && page.pfn_of(host) == pfn)
    }
}

impl Vm {
    /// The host's page tables.
    pub fn host_tables(&self) -> Option<HostTables<'_>> {
        Some(HostTables(self))
    }

    /// How many pages of `level` the statistics say are mapped.
    pub fn counted_pages(&self, level: Level) -> Option<i64> {
        Some(self.stats.pages[usize::from(level.raw()) - 1].get())
    }

    /// How many tables there are but for roots.
    pub fn counted_tables(&self) -> i64 {
        self.live_tables()
    }

    /// Lends `look` the VM's slots, in a read-side section of `kvm->srcu`.
    pub fn with_slots<R>(&self, look: impl FnOnce(&AnySlots<'_>) -> R) -> R {
        let _srcu = self.srcu.read().unwrap_or_else(PoisonError::into_inner);
        look(&AnySlots(self))
    }

    /// Lends `look` the VM's slots while nobody may change tables or entries.
    pub fn hold_still<R>(&self, look: impl FnOnce(&AnySlots<'_>) -> R) -> R {
        let _lock = self.mmu_write();
        look(&AnySlots(self))
    }
}
