// SPDX-License-Identifier: GPL-2.0

//! Dirty logging in C: on, off, and the harvest of the bitmap; what is split and recovered for it.

use crate::{
    atomic::{plain::lock, PoisonError},
    kvm::{log::WantedLog, Exclusive, Gfn, GfnRange, Level, MemSlot, Shared, SlotsLocked, Vm},
    tdp_mmu,
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
    let mut words = vec![0; slot.log_words() as usize];
    take(vm, slot, 0, &mut words, true);
    slot.frames_of_log(words.into_iter())
}

/// Makes writes to those pages count again that are set in `words`, from word `first` of the log on, and
/// leaves those that were dirty (`KVM_CLEAR_DIRTY_LOG`).
pub fn take_log(vm: &Vm, slot: &MemSlot, first: usize, words: &mut [u64]) {
    take(vm, slot, first, words, false);
}

fn take(vm: &Vm, slot: &MemSlot, first: usize, words: &mut [u64], all: bool) {
    let cpus = lock(&vm.cpus).clone();
    cpus.iter().for_each(|cpu| cpu.drain_dirty_log(vm));
    let locked = SlotsLocked::new(vm);
    let wanted = WantedLog::new(&locked, slot, first, words, all);
    tdp_mmu::harvest::harvest(wanted).into_caller();
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
