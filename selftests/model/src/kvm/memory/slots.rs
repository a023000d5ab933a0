// SPDX-License-Identifier: GPL-2.0

//! What keeps a VM's memory slots, and `slots_lock`.

use super::{memslot::MemSlot, raw::Vm};
use crate::kvm::types::{AddressSpace, Gfn};

/// Proof that a VM's memslots stay. The model's slots are as old as their VM, and gone in between.
pub struct SlotsHeld<'vm>(&'vm Vm);

impl<'vm> SlotsHeld<'vm> {
    /// Holds the slots of `vm`.
    pub fn new(vm: &'vm Vm) -> Self {
        Self(vm)
    }

    /// The VM whose slots they are.
    pub fn vm(&self) -> &'vm Vm {
        self.0
    }

    /// The generation of the slots.
    pub fn generation(&self) -> u64 {
        self.0.generation()
    }

    /// The slot that `gfn` lies in, in `address_space`.
    pub fn find(&self, address_space: AddressSpace, gfn: Gfn) -> Option<&MemSlot> {
        let slot = self.0.slot(address_space, gfn);
        self.0.slots_found.run();
        slot
    }
}

/// Proof that the current task holds `slots_lock`. What the lock does is up to the test, which is to
/// change slots and to zap roots in one thread at a time.
pub struct SlotsLocked<'vm>(&'vm Vm);

impl<'vm> SlotsLocked<'vm> {
    /// Takes note that no other thread zaps the roots of `vm`.
    pub fn new(vm: &'vm Vm) -> Self {
        Self(vm)
    }

    /// The VM whose lock it is.
    pub fn vm(&self) -> &'vm Vm {
        self.0
    }

    pub(super) fn have(&self, slot: &MemSlot) -> bool {
        let found = self.0.slot(slot.address_space(), slot.range().start);
        found.is_some_and(|found| std::ptr::eq(found, slot))
    }

    pub(super) fn take_from_log(&self, slot: &MemSlot, first: usize, words: &mut [u64], all: bool) {
        for (index, word) in (first..).zip(words.iter_mut()) {
            *word = slot.take_log_word(index, if all { u64::MAX } else { *word });
        }
    }
}
