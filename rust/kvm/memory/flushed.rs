// SPDX-License-Identifier: GPL-2.0

//! Flushes of TLBs, as evidence that they were carried out.

#![forbid(unsafe_code)]

use super::{
    memslot::MemSlot,
    raw::Vm, //
};
use core::ptr;

/// Evidence that TLBs were flushed: a VM's, or of one slot's frames.
///
/// # Invariants
///
/// Made by a flush alone.
pub struct Flushed<'vm> {
    vm: &'vm Vm,
    slot: Option<&'vm MemSlot>,
}

impl<'vm> Flushed<'vm> {
    /// Flushes TLBs on all CPUs: of the frames of `slot`, or all that the VM has.
    #[inline(always)]
    pub(in crate::kvm) fn now(vm: &'vm Vm, slot: Option<&'vm MemSlot>) -> Self {
        match slot {
            Some(slot) => vm.flush_remote_tlbs_slot(slot),
            None => vm.flush_remote_tlbs(),
        }
        // INVARIANT: That was the flush.
        Self { vm, slot }
    }

    /// Whether `slot` of `vm` was flushed.
    pub(in crate::kvm) fn covers(&self, vm: &Vm, slot: &MemSlot) -> bool {
        ptr::eq(self.vm, vm) && self.slot.is_none_or(|flushed| ptr::eq(flushed, slot))
    }
}
