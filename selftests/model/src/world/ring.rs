// SPDX-License-Identifier: GPL-2.0

//! Dirty rings: each vCPU pushes the frames that it makes writable or finds dirty, userspace collects
//! them, and asks KVM to reset what it has collected.
//!
//! Nobody waits for room: a vCPU must not enter the guest any more when only what is reserved for one
//! exit is left.

use super::{pml, variants::Variant};
use crate::{
    atomic::{self, plain::lock},
    kvm::{log::RingPages, AddressSpace, Gfn, MemSlot, SlotsLocked, Vm},
    tdp_mmu,
};
use std::collections::{BTreeSet, VecDeque};

/// Number of entries.
const SIZE: usize = 16;
/// What one exit of a vCPU can push: the CPU's own log, and the page of the exit.
const RESERVED: usize = pml::ENTRIES + 2;

/// An entry.
#[derive(Clone, Copy)]
struct Entry {
    space: AddressSpace,
    gfn: Gfn,
    collected: bool,
}

/// The ring of one vCPU.
#[derive(Default)]
pub struct Ring(atomic::Mutex<VecDeque<Entry>>);

impl Ring {
    /// `kvm_dirty_ring_push()`.
    pub fn push(&self, space: AddressSpace, gfn: Gfn) {
        let mut entries = atomic::lock(&self.0);
        assert!(entries.len() < SIZE, "the dirty ring overflows");
        entries.push_back(Entry {
            space,
            gfn,
            collected: false,
        });
    }

    /// Whether the vCPU must not run before userspace has collected (`KVM_EXIT_DIRTY_RING_FULL`).
    pub fn is_soft_full(&self) -> bool {
        atomic::lock(&self.0).len() >= SIZE - RESERVED
    }

    /// Userspace reads what is new.
    fn collect(&self) -> Vec<(AddressSpace, Gfn)> {
        let mut entries = atomic::lock(&self.0);
        let new = entries.iter_mut().filter(|entry| !entry.collected);
        new.map(|entry| {
            entry.collected = true;
            (entry.space, entry.gfn)
        })
        .collect()
    }

    /// Takes the oldest entry, if userspace has collected it.
    fn pop(&self) -> Option<(AddressSpace, Gfn)> {
        let mut entries = atomic::lock(&self.0);
        let oldest = entries.front().filter(|entry| entry.collected).copied()?;
        entries.pop_front();
        Some((oldest.space, oldest.gfn))
    }
}

/// Userspace collects from all rings and resets them. What it sends, it may read only then.
pub fn collect(vm: &Vm) -> BTreeSet<(i32, Gfn)> {
    let cpus = lock(&vm.cpus).clone();
    cpus.iter().for_each(|cpu| cpu.drain_dirty_log(vm));
    let collected = cpus.iter().flat_map(|cpu| cpu.ring.collect());
    let collected = collected.map(|(space, gfn)| (space.raw(), gfn)).collect();
    reset(vm);
    collected
}

/// `KVM_RESET_DIRTY_RINGS`. Holds `slots_lock`. One hold of `mmu_lock` for each entry: KVM has one for
/// a group of 64 frames.
fn reset(vm: &Vm) {
    let slots = SlotsLocked::new(vm);
    let cpus = lock(&vm.cpus).clone();
    for cpu in &cpus {
        while let Some((space, gfn)) = cpu.ring.pop() {
            let slot = vm.slot(space, gfn);
            if let Some(slot) = slot.filter(|_| !vm.variants.has(Variant::RingResetOnly)) {
                rearm(&slots, slot, gfn);
            }
        }
    }
    vm.flush_remote_tlbs();
}

/// Resets a ring with an entry for `gfn` of a slot that need not be logged: it may be from when that was, or
/// userspace has written it itself.
pub fn reset_one(vm: &Vm, slot: &MemSlot, gfn: Gfn) {
    rearm(&SlotsLocked::new(vm), slot, gfn);
    vm.flush_remote_tlbs();
}

fn rearm(locked: &SlotsLocked<'_>, slot: &MemSlot, gfn: Gfn) {
    let pages = RingPages::new(locked, slot, gfn, &[1]);
    tdp_mmu::harvest::rearm_ring(pages.expect("it is in the slot"));
}
