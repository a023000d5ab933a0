// SPDX-License-Identifier: GPL-2.0

//! The host changes its page tables: what mmu_notifiers are for, and how faults hear of them.
//!
//! The module has a notifier of its own, which is what runs here, but not under loom, which would look
//! at each word of its record. There, and for an order that C does not have, it is C's, in the model's
//! words.
//!
//! A notifier has a range of the host's addresses, and each slot that shows a part of it has a range
//! of its own. Any number of notifiers may be active, also for the same memory. As in C, there is
//! one sequence number for the whole VM, and one range: from the lowest to the highest frame of all
//! that are active, until the last of them ends.

use super::{paging_cache::overlaps, variants::Variant, view};
use crate::{
    atomic::{
        plain::{lock, Mutex},
        AtomicU64,
        Ordering::SeqCst,
    },
    kvm::{
        memory::SlotState, types::Pfn, Exclusive, Gfn, GfnRange, Locked, MemSlot, MmuLock,
        PendingFlush, Shared, SlotRange, Vm,
    },
    lockdep,
    mm::notifier::Ended,
    tdp_mmu::{self, notifier, visitor::GiveWay},
};

/// The variants that concern notifiers.
const OTHERS: [Variant; 5] = [
    Variant::NotifierZapsUnderRead,
    Variant::NotifierFlushesForOthers,
    Variant::NotifierAlwaysBlocks,
    Variant::NotifierEndsAll,
    Variant::SlotsDoNotWait,
];

/// What C keeps of a VM's notifiers.
#[derive(Default)]
pub struct Invalidations {
    sequence: AtomicU64,
    in_progress: AtomicU64,
    range: Mutex<Option<GfnRange>>,
    /// Notifiers between start and end, whether any slot shows their memory or not
    /// (`mn_active_invalidate_count`, with its lock).
    active: Mutex<u64>,
    /// Notifiers that zap with the lock held for read right now.
    zapping: AtomicU64,
}

impl Invalidations {
    /// How many notifiers have ended.
    pub fn ended(&self) -> u64 {
        self.sequence.load(SeqCst)
    }

    /// Whether a notifier for `gfn` may be active.
    pub fn is_active(&self, gfn: Gfn) -> bool {
        self.any() && self.range().is_none_or(|range| range.contains(gfn))
    }

    /// Whether any notifier is active.
    pub fn any(&self) -> bool {
        self.going_on() != 0
    }

    /// How many notifiers are active.
    pub fn going_on(&self) -> u64 {
        self.in_progress.load(SeqCst)
    }

    /// From the lowest to the highest frame of all that are active.
    pub fn range(&self) -> Option<GfnRange> {
        *lock(&self.range)
    }

    /// Slots must not change until [`unblock_slots`](Self::unblock_slots).
    pub(crate) fn block_slots(&self) {
        *lock(&self.active) += 1;
    }

    /// Whether they must not.
    pub(crate) fn has_blocked_slots(&self) -> bool {
        *lock(&self.active) != 0
    }

    /// They may, unless there is another notifier. Returns whether there was one.
    pub(crate) fn unblock_slots(&self) -> bool {
        let mut active = lock(&self.active);
        let less = active.checked_sub(1);
        *active = less.unwrap_or(0);
        less.is_some()
    }

    /// Calls `change` if no notifier is active, which may not become so meanwhile. Returns whether it
    /// did.
    pub(super) fn when_idle(&self, vm: &Vm, change: impl FnOnce()) -> bool {
        let active = lock(&self.active);
        let idle = *active == 0 || vm.variants.has(Variant::SlotsDoNotWait);
        if idle {
            change();
        }
        idle
    }

    /// `kvm_mmu_invalidate_start()`, under `mmu_lock` held for write.
    pub(crate) fn begin(&self) {
        if self.in_progress.fetch_add(1, SeqCst) == 0 {
            *lock(&self.range) = None;
        }
    }

    /// `kvm_mmu_invalidate_range_add()`, under `mmu_lock` held for write.
    pub(crate) fn add(&self, new: GfnRange) {
        let mut range = lock(&self.range);
        *range = Some(range.map_or(new, |old| old.hull(new)));
    }

    /// `kvm_mmu_invalidate_end()`, under `mmu_lock` held for write.
    pub(crate) fn end(&self, all: bool) {
        self.sequence.fetch_add(1, SeqCst);
        let ended = if all { u64::MAX } else { 1 };
        let before = self.in_progress.load(SeqCst);
        assert!(before != 0, "a notifier ends that has not started");
        self.in_progress.store(before.saturating_sub(ended), SeqCst);
    }
}

/// A notifier between its start and its end: the host may change what `range` says.
#[must_use = "a notifier that starts has to end"]
pub struct Notifier {
    range: GfnRange,
    slots: Vec<SlotRange>,
    /// Whether it is the module's. A model checker would look at each word of its record, and at each
    /// way to come there.
    own: bool,
}

impl Notifier {
    /// `kvm_mmu_notifier_invalidate_range_start()`. Nobody gets at the memory when it returns.
    pub fn start(vm: &Vm, range: GfnRange, may_block: bool) -> Self {
        let _not = (!may_block).then(lockdep::non_block);
        let own = !cfg!(feature = "loom") && !OTHERS.iter().any(|other| vm.variants.has(*other));
        if own {
            start_own(vm, range, may_block);
        } else {
            vm.invalidations.block_slots();
        }
        let slots = slot_ranges(vm, range, may_block);
        let notifier = Self { range, slots, own };
        if own {
            notifier.check_debt(vm);
        } else {
            notifier.zap_as_c(vm);
        }
        vm.primary.notify(range);
        notifier
    }

    /// As C does it, or in another order that is asked for.
    fn zap_as_c(&self, vm: &Vm) {
        if self.slots.is_empty() {
            return;
        }
        if vm.variants.has(Variant::NotifierZapsUnderRead) {
            self.zap_under_read(vm);
        } else {
            self.zap(vm);
        }
    }

    /// All in one hold of the lock for write.
    fn zap(&self, vm: &Vm) {
        let mut lock = vm.mmu_write();
        vm.invalidations.begin();
        let owed = self.unmap::<Exclusive>(&mut lock);
        self.finish(&lock, owed);
    }

    /// Only the announcement needs the lock for write.
    fn zap_under_read(&self, vm: &Vm) {
        let lock = vm.mmu_write();
        vm.invalidations.begin();
        for range in &self.slots {
            vm.invalidations.add(range.range);
        }
        drop(lock);
        vm.invalidations.zapping.fetch_add(1, SeqCst);
        let mut lock = vm.mmu_read();
        let owed = self.unmap::<Shared>(&mut lock);
        let for_others = vm.variants.has(Variant::NotifierFlushesForOthers)
            && vm.invalidations.zapping.load(SeqCst) > 1;
        self.finish(&lock, owed || for_others);
        vm.invalidations.zapping.fetch_sub(1, SeqCst);
    }

    /// What it still owes at the end.
    fn unmap<M: Locked>(&self, lock: &mut MmuLock<'_, M>) -> bool {
        let vm = lock.vm();
        let mut flush = PendingFlush::none(vm);
        for range in &self.slots {
            if !M::SHARED {
                vm.invalidations.add(range.range);
            }
            let may_block = range.may_block || vm.variants.has(Variant::NotifierAlwaysBlocks);
            let range = SlotRange {
                may_block,
                ..*range
            };
            flush = tdp_mmu::zap::unmap_range(lock, range, flush);
        }
        flush.into_caller()
    }

    /// Nobody may owe a flush for the memory: the host gives it away, whoever has zapped it.
    fn finish<M: Locked>(&self, lock: &MmuLock<'_, M>, owed: bool) {
        let vm = lock.vm();
        if owed {
            vm.flush_remote_tlbs();
        }
        self.check_debt(vm);
    }

    fn check_debt(&self, vm: &Vm) {
        for range in &self.slots {
            vm.debt.check_range(range.range);
        }
    }

    /// `kvm_mmu_notifier_invalidate_range_end()`. Faults may map the memory again.
    pub fn end(self, vm: &Vm) {
        vm.primary.forget(self.range);
        if self.own {
            if !self.slots.is_empty() {
                self.check(&vm.mmu_write());
            }
            return notifier::end(vm, Ended::of(&MemSlot::host_range_of(self.range)));
        }
        if !slot_ranges(vm, self.range, true).is_empty() {
            let lock = vm.mmu_write();
            self.check(&lock);
            let all = vm.variants.has(Variant::NotifierEndsAll);
            vm.invalidations.end(all);
        }
        assert!(vm.invalidations.unblock_slots(), "it has started");
    }

    /// Nobody will zap the memory any more for this notifier: no tree may map what is not the host's.
    fn check(&self, lock: &MmuLock<'_, Exclusive>) {
        let vm = lock.vm();
        // A model checker would look at each entry, and at each way to come here.
        if cfg!(any(feature = "loom", feature = "shuttle")) {
            return;
        }
        for root in view::roots(vm) {
            for (gfn, (level, spte)) in &view::Tree::of(vm, root).leaves {
                let slot = vm.slot(root.role().address_space(), *gfn);
                let host = slot.map_or(*gfn, |slot| slot.host_of(*gfn));
                if overlaps(host, *level, self.range) {
                    let held = vm.primary.holds(host, Pfn::new(spte.pfn().raw()));
                    assert!(held, "a notifier left {gfn:?} {level:?} mapped");
                }
            }
        }
    }
}

/// The module's start of a notifier.
fn start_own(vm: &Vm, range: GfnRange, may_block: bool) {
    let give_way = match may_block {
        true => GiveWay::WhenAsked,
        false => GiveWay::Never,
    };
    notifier::start(vm, MemSlot::host_range_of(range), give_way);
}

/// What each slot shows of `range`.
fn slot_ranges(vm: &Vm, range: GfnRange, may_block: bool) -> Vec<SlotRange> {
    let slots = vm.slots().iter();
    let there = slots.filter(|slot| slot.state() != SlotState::Gone);
    let shown = there.map(|slot| SlotRange {
        range: slot.frames_of(range),
        address_space: slot.address_space(),
        may_block,
    });
    shown.filter(|shown| !shown.range.is_empty()).collect()
}

/// The host changes its mapping of `range`, by `change`.
pub fn invalidate(vm: &Vm, range: GfnRange, change: impl FnOnce()) {
    let notifier = Notifier::start(vm, range, true);
    change();
    notifier.end(vm);
}
