// SPDX-License-Identifier: GPL-2.0

//! What a VM hears from its host besides page tables: the books of slots that must not change.

use super::{
    changes::Changes,
    invalidations::Invalidations,
    memslot::{MemSlot, SlotState},
    raw::Vm,
};
use crate::{
    atomic::{
        plain::{AtomicBool, AtomicU64},
        Mutex, OnceLock,
        Ordering::SeqCst,
    },
    kvm::{types::GfnRange, AnySlots},
    mm::{notifier::Released, HostRange},
};

/// What the module keeps for the VM, and what C counts.
pub(crate) struct Host {
    /// Made when somebody looks at it: it is many words for a model checker, and pfn caches need none.
    record: OnceLock<Invalidations>,
    /// `mn_invalidate_lock`, and what it guards.
    pub(in crate::kvm::memory) changes: Mutex<Changes>,
    /// How many changes have ended.
    pub(in crate::kvm::memory) ended: AtomicU64,
    reclaimed: AtomicU64,
    hidden: AtomicBool,
    shadowed: AtomicBool,
    logs_begin_dirty: AtomicBool,
    splits_late: AtomicBool,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            record: OnceLock::new(),
            changes: Mutex::new(Changes::new()),
            ended: AtomicU64::default(),
            reclaimed: AtomicU64::default(),
            hidden: AtomicBool::default(),
            shadowed: AtomicBool::default(),
            logs_begin_dirty: AtomicBool::default(),
            splits_late: AtomicBool::default(),
        }
    }
}

/// What the host asks about the age of pages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Aging {
    /// Whether they were accessed. From now on they were not.
    MakeOld,
    /// Only whether they were.
    Test,
}

/// An event.
pub fn trace_unmap(_range: HostRange) {}

/// An event.
pub fn trace_age(_range: HostRange) {}

/// An event.
pub fn trace_test_age(_address: usize) {}

impl Vm {
    pub(in crate::kvm) fn record(&self) -> &Invalidations {
        self.host.record.get_or_init(Invalidations::default)
    }

    /// Whether memory slots must not change.
    pub fn slots_update_is_blocked(&self) -> bool {
        self.invalidations.has_blocked_slots()
    }

    /// How often the guest lost memory.
    pub fn times_reclaimed(&self) -> u64 {
        self.host.reclaimed.load(SeqCst)
    }

    /// The guest lost memory.
    pub fn guest_memory_reclaimed(&self) {
        self.host.reclaimed.fetch_add(1, SeqCst);
    }

    /// Zaps everything that the VM maps.
    pub fn unmap_everything(&self, _released: Released<'_>) {
        let mut lock = self.mmu_write();
        crate::tdp_mmu::zap::zap_all(&mut lock);
        // In the kernel no vCPU runs again. Here they might.
        self.flush_remote_tlbs();
    }

    /// There is no shadow MMU.
    pub fn age_shadow(&self, _slot: &MemSlot, _frames: GfnRange, _aging: Aging) -> bool {
        false
    }

    /// How many invalidations the record knows.
    pub fn recorded_invalidations(&self) -> u64 {
        self.record().count()
    }

    /// The shadow MMU may have entries, from now on.
    pub fn use_shadow(&self) {
        self.host.shadowed.store(true, SeqCst);
    }

    /// Whether it may.
    pub fn has_rmaps(&self) -> bool {
        self.host.shadowed.load(SeqCst)
    }

    /// Dirty logs begin with every page dirty, from now on.
    pub fn begin_logs_dirty(&self) {
        self.host.logs_begin_dirty.store(true, SeqCst);
    }

    /// Whether they do.
    pub fn logs_begin_dirty(&self) -> bool {
        self.host.logs_begin_dirty.load(SeqCst)
    }

    /// Huge pages are split when they are written, from now on, and not before.
    pub fn split_late(&self) {
        self.host.splits_late.store(true, SeqCst);
    }

    /// Whether they are split as soon as small ones are made clean.
    pub fn splits_eagerly(&self) -> bool {
        !self.host.splits_late.load(SeqCst)
    }

    /// Slots are looked up by host address in vain, from now on or no longer: what a change of slots
    /// between the two halves of a notifier would do.
    pub fn hide_slots(&self, hide: bool) {
        self.host.hidden.store(hide, SeqCst);
    }
}

impl AnySlots<'_> {
    /// The slots whose memory lies in `host`, and which of their frames do.
    pub fn in_host_range(
        &self,
        host: HostRange,
    ) -> impl Iterator<Item = (&MemSlot, GfnRange)> + Clone {
        let vm = self.vm();
        let hidden = vm.host.hidden.load(SeqCst);
        let there = move |slot: &&MemSlot| !hidden && slot.state() != SlotState::Gone;
        let slots = vm.slots().iter().filter(there);
        slots.filter_map(move |slot| {
            let frames = slot.frames_in(host);
            (!frames.is_empty()).then_some((slot, frames))
        })
    }
}
