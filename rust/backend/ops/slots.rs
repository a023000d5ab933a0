// SPDX-License-Identifier: GPL-2.0

//! Memslots: dirty logging, write tracking, and the huge pages that logging splits.

use crate::{
    kvm::{
        log::{RingPages, WantedLog},
        Exclusive,
        Gfn,
        GfnRange,
        Level,
        Locked,
        MemSlot,
        MmuLock,
        Shared,
        SlotsHeld,
        SlotsLocked,
        Vm, //
    },
    tdp_mmu::{self, dirty::LogBy}, //
};
use core::slice;
use kernel::ffi::{c_int, c_ulong};
use kvm_bindings as bindings;

/// A slot that C's caller named, with what it holds to keep it.
///
/// # Invariants
///
/// `slot` was found while `slots` was held.
struct NamedSlot<'vm> {
    slots: SlotsHeld<'vm>,
    slot: *const bindings::kvm_memory_slot,
}

impl<'vm> NamedSlot<'vm> {
    /// Takes note of a slot of `kvm`.
    ///
    /// # Safety
    ///
    /// `kvm` must be a live VM, and `slot` held, for as long as the value exists.
    #[inline(always)]
    unsafe fn new(kvm: *mut bindings::kvm, slot: *const bindings::kvm_memory_slot) -> Self {
        // SAFETY: The VM is live, and the current task holds what keeps its slots.
        let slots = unsafe { SlotsHeld::assume(Vm::from_raw(kvm)) };
        // INVARIANT: The slot is held, so it was found while the slots were.
        Self { slots, slot }
    }

    #[inline(always)]
    fn slot(&self) -> &MemSlot {
        // SAFETY: By the type's invariant the slot was found while the slots were held.
        unsafe { self.slots.slot(self.slot) }
    }

    #[inline(always)]
    fn vm(&self) -> &'vm Vm {
        self.slots.vm()
    }

    /// The VM's `mmu_lock`.
    ///
    /// # Safety
    ///
    /// As for [`MmuLock::assume_held`].
    #[inline(always)]
    unsafe fn lock<M: Locked>(&self) -> MmuLock<'vm, M> {
        // SAFETY: The section above is that of `assume_held()`.
        unsafe { MmuLock::assume_held(self.vm()) }
    }

    /// A level that C passes as an int. C asks for nothing but 4K to 1G, so anything else is a bug,
    /// which ends the VM.
    fn huge_level(&self, raw: c_int) -> Option<Level> {
        let level = u32::try_from(raw)
            .ok()
            .and_then(Level::new)
            .filter(|level| *level <= Level::MAX_HUGEPAGE);
        if level.is_none() {
            self.vm().bug();
        }
        level
    }
}

/// Write-protects the leaves of a slot from a level up; returns whether there were any
/// (`kvm_tdp_mmu_wrprot_slot`).
///
/// # Safety
///
/// `kvm` is a live VM, `slot` is held, `mmu_lock` is held for read.
pub(in crate::backend) unsafe extern "C" fn wrprot_slot(
    kvm: *mut bindings::kvm,
    slot: *const bindings::kvm_memory_slot,
    min_level: c_int,
) -> bool {
    // SAFETY: The VM is live, the slot held.
    let named = unsafe { NamedSlot::new(kvm, slot) };
    let Some(level) = named.huge_level(min_level) else {
        return false;
    };
    // SAFETY: `mmu_lock` is held for read.
    let mut lock = unsafe { named.lock() };
    tdp_mmu::dirty::write_protect_slot(&mut lock, named.slot(), level)
}

/// Makes the pages of a slot clean (`kvm_tdp_mmu_clear_dirty_slot`).
///
/// # Safety
///
/// `kvm` is a live VM, `slot` is held, `mmu_lock` is held for read.
pub(in crate::backend) unsafe extern "C" fn clear_dirty_slot(
    kvm: *mut bindings::kvm,
    slot: *const bindings::kvm_memory_slot,
) {
    // SAFETY: The VM is live, the slot held.
    let named = unsafe { NamedSlot::new(kvm, slot) };
    // SAFETY: `mmu_lock` is held for read.
    let mut lock = unsafe { named.lock() };
    tdp_mmu::dirty::clear_dirty_slot(&mut lock, named.slot());
}

/// Makes those of 64 pages clean, from `gfn` on, whose bits are set in `mask`
/// (`kvm_tdp_mmu_clear_dirty_pt_masked`).
///
/// # Safety
///
/// `kvm` is a live VM, `slot` is held, `mmu_lock` is held for write.
pub(in crate::backend) unsafe extern "C" fn clear_dirty_pt_masked(
    kvm: *mut bindings::kvm,
    slot: *mut bindings::kvm_memory_slot,
    gfn: u64,
    mask: c_ulong,
    wrprot: bool,
) {
    // SAFETY: The VM is live, the slot held.
    let named = unsafe { NamedSlot::new(kvm, slot) };
    // SAFETY: `mmu_lock` is held for write.
    let lock = unsafe { named.lock() };
    let log_by = if wrprot {
        LogBy::WriteProtection
    } else {
        LogBy::DirtyBits
    };
    tdp_mmu::dirty::clear_dirty_masked(&lock, named.slot(), Gfn::new(gfn), mask as u64, log_by);
}

/// Takes out of the dirty log what userspace wants of it (`kvm_arch_harvest_dirty_log`).
///
/// # Safety
///
/// `kvm` is a live VM, `slot` is held, `slots_lock` is held. `bitmap` has `nr_words` words, which are
/// the task's alone.
pub(in crate::backend) unsafe extern "C" fn harvest_dirty_log(
    kvm: *mut bindings::kvm,
    slot: *mut bindings::kvm_memory_slot,
    first: c_ulong,
    nr_words: c_ulong,
    bitmap: *mut c_ulong,
    all: bool,
) {
    // SAFETY: The VM is live, the slot held.
    let named = unsafe { NamedSlot::new(kvm, slot) };
    // SAFETY: `slots_lock` is held.
    let locked = unsafe { SlotsLocked::assume(named.vm()) };
    // SAFETY: By the section above there are so many words, and they are the task's alone.
    let words = unsafe { slice::from_raw_parts_mut(bitmap.cast::<u64>(), nr_words) };
    let wanted = WantedLog::new(&locked, named.slot(), first, words, all);
    tdp_mmu::harvest::harvest(wanted).into_caller();
}

/// Makes writes to pages count again that were in a dirty ring, once TLBs are flushed
/// (`kvm_arch_rearm_dirty_log`).
///
/// # Safety
///
/// `kvm` is a live VM, `slot` is held, `slots_lock` is held.
pub(in crate::backend) unsafe extern "C" fn rearm_dirty_log(
    kvm: *mut bindings::kvm,
    slot: *mut bindings::kvm_memory_slot,
    gfn_offset: u64,
    mask: c_ulong,
) {
    // SAFETY: The VM is live, the slot held.
    let named = unsafe { NamedSlot::new(kvm, slot) };
    // SAFETY: `slots_lock` is held.
    let locked = unsafe { SlotsLocked::assume(named.vm()) };
    let base = named.slot().range().start.add(gfn_offset);
    match RingPages::new(&locked, named.slot(), base, &[mask as u64]) {
        Some(pages) => tdp_mmu::harvest::rearm_ring(pages),
        None => named.vm().bug(),
    }
}

/// Write-protects a frame for write tracking; returns whether a flush is owed
/// (`kvm_tdp_mmu_write_protect_gfn`).
///
/// # Safety
///
/// `kvm` is a live VM, `slot` is held, `mmu_lock` is held for write.
pub(in crate::backend) unsafe extern "C" fn write_protect_gfn(
    kvm: *mut bindings::kvm,
    slot: *mut bindings::kvm_memory_slot,
    gfn: u64,
    min_level: c_int,
) -> bool {
    // SAFETY: The VM is live, the slot held.
    let named = unsafe { NamedSlot::new(kvm, slot) };
    let Some(level) = named.huge_level(min_level) else {
        return false;
    };
    // SAFETY: `mmu_lock` is held for write.
    let lock = unsafe { named.lock() };
    tdp_mmu::dirty::write_protect_gfn(&lock, named.slot(), Gfn::new(gfn), level).into_caller()
}

/// Splits the huge pages of a range as far as memory allows (`kvm_tdp_mmu_try_split_huge_pages`).
///
/// # Safety
///
/// `kvm` is a live VM, `slot` is held, `mmu_lock` is held for read if `shared`, else for write.
pub(in crate::backend) unsafe extern "C" fn try_split_huge_pages(
    kvm: *mut bindings::kvm,
    slot: *const bindings::kvm_memory_slot,
    start: u64,
    end: u64,
    target_level: c_int,
    shared: bool,
) {
    // SAFETY: The VM is live, the slot held.
    let named = unsafe { NamedSlot::new(kvm, slot) };
    let Some(target) = named.huge_level(target_level) else {
        return;
    };
    let range = GfnRange::new(Gfn::new(start), Gfn::new(end));
    if shared {
        // SAFETY: `mmu_lock` is held for read.
        let mut lock = unsafe { named.lock::<Shared>() };
        tdp_mmu::split::try_split_huge_pages(&mut lock, named.slot(), range, target);
    } else {
        // SAFETY: `mmu_lock` is held for write.
        let mut lock = unsafe { named.lock::<Exclusive>() };
        tdp_mmu::split::try_split_huge_pages(&mut lock, named.slot(), range, target);
    }
}

/// Maps by huge pages again what dirty logging had split (`kvm_tdp_mmu_recover_huge_pages`).
///
/// # Safety
///
/// `kvm` is a live VM, `slot` is held, `mmu_lock` is held for read, and `slots_lock`.
pub(in crate::backend) unsafe extern "C" fn recover_huge_pages(
    kvm: *mut bindings::kvm,
    slot: *const bindings::kvm_memory_slot,
) {
    // SAFETY: The VM is live, the slot held.
    let named = unsafe { NamedSlot::new(kvm, slot) };
    // SAFETY: `mmu_lock` is held for read.
    let mut lock = unsafe { named.lock() };
    tdp_mmu::recover::recover_huge_pages(&mut lock, named.slot());
}
