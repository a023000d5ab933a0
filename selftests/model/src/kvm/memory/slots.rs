// SPDX-License-Identifier: GPL-2.0

//! What keeps a VM's memory slots.

use super::vm::Vm;

/// Proof that a VM's memslots stay. The model's slots are as old as their VM.
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
}
