// SPDX-License-Identifier: GPL-2.0

//! Dirty logging in C: on, off, and the harvest of the bitmap; what is split and recovered for it.

use super::variants::Variant;
use crate::{
    atomic::{plain::lock, PoisonError},
    kvm::{memory::frames, Exclusive, Gfn, GfnRange, Level, MemSlot, MmuLock, Shared, Vm},
    tdp_mmu::{self, dirty::LogBy},
};
use std::collections::BTreeSet;

/// Puts a slot in the place of another that differs in whether writes are logged. Faults that saw
/// the old one are over when it returns (`synchronize_srcu()`).
fn set_dirty_tracked(vm: &Vm, slot: &MemSlot, on: bool) {
    slot.set_dirty_tracked(on);
    drop(vm.srcu.write().unwrap_or_else(PoisonError::into_inner));
}

/// When a slot's huge pages are split whose writes begin to be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// All at once (kvm.ko's parameter `eager_page_split`).
    Eagerly,
    /// Each when it is written.
    AtFaults,
}

/// Starts logging of writes to `slot`.
pub fn start_dirty_log(vm: &Vm, slot: &MemSlot, split: Split) {
    set_dirty_tracked(vm, slot, true);
    if split == Split::Eagerly {
        try_split(vm, slot, slot.range(), Level::PG_4K);
    }
    let mut lock = vm.mmu_read();
    if vm.has_cpu_dirty_log() {
        tdp_mmu::dirty::clear_dirty_slot(&mut lock, slot);
        // Huge pages must not collect dirty bits: they are to be mapped small at the next write.
        tdp_mmu::dirty::write_protect_slot(&mut lock, slot, Level::PG_2M);
    } else {
        tdp_mmu::dirty::write_protect_slot(&mut lock, slot, Level::PG_4K);
    }
    drop(lock);
    vm.flush_remote_tlbs();
}

/// Stops logging and makes huge pages of small ones.
pub fn stop_dirty_log(vm: &Vm, slot: &MemSlot) {
    set_dirty_tracked(vm, slot, false);
    recover(vm, slot);
}

/// Takes the dirty log, and makes writes to its pages count again (`KVM_GET_DIRTY_LOG`).
pub fn harvest(vm: &Vm, slot: &MemSlot) -> BTreeSet<Gfn> {
    let cpus = lock(&vm.cpus).clone();
    cpus.iter().for_each(|cpu| cpu.drain_dirty_log(vm));
    if vm.variants.has(Variant::LogTakenUnderRead) {
        return harvest_under_read(vm, slot);
    }
    let lock = vm.mmu_write();
    let mut dirty = BTreeSet::new();
    for word in 0..slot.log_words() {
        let (base, mask) = slot.take_log_word(word);
        if mask != 0 {
            clear_dirty(&lock, slot, base, mask);
            dirty.extend(frames(base, mask));
        }
    }
    drop(lock);
    vm.flush_remote_tlbs();
    dirty
}

/// The same for read: a fault may have marked its page and not have mapped it yet.
fn harvest_under_read(vm: &Vm, slot: &MemSlot) -> BTreeSet<Gfn> {
    let mut lock = vm.mmu_read();
    let dirty = slot.take_log();
    tdp_mmu::dirty::write_protect_slot(&mut lock, slot, Level::PG_4K);
    drop(lock);
    vm.flush_remote_tlbs();
    dirty
}

/// `kvm_arch_mmu_enable_log_dirty_pt_masked()`.
pub(super) fn clear_dirty(lock: &MmuLock<'_, Exclusive>, slot: &MemSlot, base: Gfn, mask: u64) {
    let log_by = if lock.vm().has_cpu_dirty_log() {
        LogBy::DirtyBits
    } else {
        LogBy::WriteProtection
    };
    tdp_mmu::dirty::clear_dirty_masked(lock, slot, base, mask, log_by);
}

/// Splits what huge pages `slot` has in `range`.
pub fn try_split(vm: &Vm, slot: &MemSlot, range: GfnRange, target: Level) {
    tdp_mmu::split::try_split_huge_pages::<Shared>(&mut vm.mmu_read(), slot, range, target);
}

/// As [`try_split`], with the lock held for write.
pub fn try_split_exclusive(vm: &Vm, slot: &MemSlot, range: GfnRange, target: Level) {
    tdp_mmu::split::try_split_huge_pages::<Exclusive>(&mut vm.mmu_write(), slot, range, target);
}

/// Makes huge pages of small ones.
pub fn recover(vm: &Vm, slot: &MemSlot) {
    tdp_mmu::recover::recover_huge_pages(&mut vm.mmu_read(), slot);
}
