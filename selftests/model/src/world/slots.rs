// SPDX-License-Identifier: GPL-2.0

//! Memory slots are made, deleted and moved while the VM runs (`KVM_SET_USER_MEMORY_REGION`), and
//! MMIO entries are valid for as long as no slot changes.
//!
//! A slot that goes is invalid first, so that nothing new is mapped; then what it maps goes; then the
//! slot itself. Slots change only while no notifier is active: its end has to find the slots that its
//! start has found. All of this holds `slots_lock`.

use super::variants::Variant;
use crate::{
    atomic::{yield_now, PoisonError},
    kvm::{
        memory::{SlotRange, SlotState},
        MemSlot, PendingFlush, Spte, Vm,
    },
    tdp_mmu::{self, leaf},
};

/// Userspace makes the slot.
pub fn create_slot(vm: &Vm, slot: &MemSlot) {
    replace(vm, slot, SlotState::Live);
}

/// Userspace deletes the slot.
pub fn delete_slot(vm: &Vm, slot: &MemSlot) {
    if !vm.variants.has(Variant::InvalidSlotIsMapped) {
        replace(vm, slot, SlotState::Invalid);
    }
    if !vm.variants.has(Variant::SlotLeftMapped) {
        zap(vm, slot);
    }
    replace(vm, slot, SlotState::Gone);
}

/// Userspace moves the slot: `to` shows the host memory that `from` has shown.
pub fn move_slot(vm: &Vm, from: &MemSlot, to: &MemSlot) {
    delete_slot(vm, from);
    create_slot(vm, to);
}

/// `kvm_swap_active_memslots()`. Whoever saw the slot as it was is done when it returns.
fn replace(vm: &Vm, slot: &MemSlot, state: SlotState) {
    while !vm.invalidations.when_idle(vm, || {
        slot.becomes(state);
        vm.set_generation(vm.generation() + 1);
    }) {
        let others = vm.machine.is_shared();
        assert!(others, "slots change while a notifier is active");
        yield_now();
    }
    drop(vm.srcu.write().unwrap_or_else(PoisonError::into_inner));
}

/// `kvm_mmu_zap_memslot_pages_and_flush()`.
fn zap(vm: &Vm, slot: &MemSlot) {
    let mut lock = vm.mmu_write();
    let range = SlotRange {
        range: slot.range(),
        address_space: slot.address_space(),
        may_block: true,
    };
    if tdp_mmu::zap::unmap_slot(&mut lock, range, PendingFlush::none(vm)) {
        vm.flush_remote_tlbs_slot(slot);
    }
}

/// Whether slots have changed since the MMIO entry was made (`check_mmio_spte()`).
pub fn is_stale_mmio(vm: &Vm, spte: Spte) -> bool {
    let low = spte.raw() >> leaf::GEN_LOW_SHIFT & ((1 << leaf::GEN_LOW_BITS) - 1);
    let high_bits = leaf::GEN_BITS - leaf::GEN_LOW_BITS;
    let high = spte.raw() >> leaf::GEN_HIGH_SHIFT & ((1 << high_bits) - 1);
    let now = vm.generation() & ((1 << leaf::GEN_BITS) - 1);
    let stale = (high << leaf::GEN_LOW_BITS | low) != now;
    stale && !vm.variants.has(Variant::MmioIsNeverStale)
}
