// SPDX-License-Identifier: GPL-2.0

//! The guest_memfd of a slot, for those who only look.

use super::{any_vm::AnyVm, memslot::MemSlot};
use crate::kvm::types::{
    Gfn,
    Level,
    Pfn, //
};
use kvm_bindings as bindings;

impl MemSlot {
    /// Whether KVM maps `gfn` from the slot's guest_memfd, and not from the host's page tables: it is
    /// private, or the slot has no other memory. Changes only under `slots_lock`.
    pub fn is_from_gmem(&self, vm: &AnyVm, gfn: Gfn) -> bool {
        // SAFETY: The VM and the slot are alive.
        unsafe { bindings::kvmrs_is_from_gmem(vm.as_ptr(), self.as_ptr(), gfn.raw()) }
    }

    /// Whether the slot's guest_memfd has `pfn` for `gfn`, in a page of `level` or a larger one. If
    /// the file is about to go, and what maps its pages too, anything is right.
    ///
    /// Nobody is waited for, so this may be over as soon as it is known. But a page that is mapped
    /// stays in the file until it was zapped, and that waits for whoever holds `mmu_lock`.
    pub fn gmem_has(&self, gfn: Gfn, level: Level, pfn: Pfn) -> bool {
        let level = level.raw().into();
        // SAFETY: The slot is alive: it borrows from a proof that `kvm->srcu` or `slots_lock` is held.
        unsafe { bindings::kvmrs_gmem_has(self.as_ptr(), gfn.raw(), level, pfn.raw()) }
    }
}
