// SPDX-License-Identifier: GPL-2.0

//! Dirty logging, by write protection or by dirty bits, and write tracking.
//!
//! Dirty logging owes no flush here: C flushes when it hands dirty bits to userspace, and when it
//! switches logging on. Write tracking does, before `mmu_lock` is dropped.
//!
//! C counterparts: `wrprot_gfn_range()`, `clear_dirty_gfn_range()`, `clear_dirty_pt_masked()`,
//! `write_protect_gfn()` and their callers.

use super::{
    change::account,
    each_root::for_each_root,
    leaf,
    visitor::{GiveWay, Step, VisitContext, Visitor, Wanted},
    walk::{walk, walk_held}, //
};
use crate::{
    kvm::{
        table::report,
        Entry,
        Exclusive,
        Gfn,
        GfnRange,
        LeafBits,
        Level,
        Locked,
        MemSlot,
        MmuLock,
        PendingFlush,
        Role,
        RootFilter,
        Shared,
        Spte,
        State,
        Vm, //
    },
    sync::rcu, //
};
use core::ops::ControlFlow;

/// Takes `bits` from all leaves from `min_level` up that have any of them.
struct ClearBits {
    bits: LeafBits,
    min_level: Level,
    cleared: bool,
}

impl Visitor<Shared> for ClearBits {
    #[inline(always)]
    fn min_level(&self) -> Level {
        self.min_level
    }

    #[inline(always)]
    fn wants(&self, spte: Spte, level: Level) -> bool {
        spte.has(self.bits.mask()) && spte.is_last(level)
    }

    #[inline(always)]
    fn visit(&mut self, entry: Entry<'_, Shared>, _context: &mut VisitContext<'_, '_>) -> Step {
        let cx = entry.cx();
        let wanted = self.wants(entry.spte(), entry.level());
        match entry.state() {
            State::Leaf(leaf) if wanted => match leaf.clear(self.bits) {
                Ok(change) => {
                    account(&cx, change);
                    self.cleared = true;
                    Step::Next
                }
                Err(_) => Step::Again,
            },
            _ => Step::Next,
        }
    }
}

/// Clears bits in all of `slot`. `bits_for` chooses them by the root's role.
fn clear_slot(
    lock: &mut MmuLock<'_, Shared>,
    slot: &MemSlot,
    min_level: Level,
    bits_for: impl Fn(&Vm, Role) -> LeafBits,
) -> bool {
    let mut cleared = false;
    let filter = RootFilter::VALID.of(slot.address_space());
    for_each_root(lock, filter, |lock, root| {
        let mut visitor = ClearBits {
            bits: bits_for(lock.vm(), root.role()),
            min_level,
            cleared: false,
        };
        let mut flush = PendingFlush::none(lock.vm());
        walk(
            lock,
            root,
            slot.range(),
            GiveWay::WhenAsked,
            &mut flush,
            &mut visitor,
        );
        cleared |= visitor.cleared;
        ControlFlow::Continue(())
    });
    cleared
}

/// Write-protects the leaves of `slot` from `min_level` up. Returns whether there were any
/// (`kvm_tdp_mmu_wrprot_slot`).
pub fn write_protect_slot(
    lock: &mut MmuLock<'_, Shared>,
    slot: &MemSlot,
    min_level: Level,
) -> bool {
    clear_slot(lock, slot, min_level, |_, _| LeafBits::writable())
}

/// Makes the pages of `slot` clean (`kvm_tdp_mmu_clear_dirty_slot`).
pub fn clear_dirty_slot(lock: &mut MmuLock<'_, Shared>, slot: &MemSlot) {
    clear_slot(lock, slot, Level::PG_4K, dirty_bits);
}

/// What says that a page was, or may be, written.
pub(super) fn dirty_bits(vm: &Vm, role: Role) -> LeafBits {
    if leaf::needs_write_protection(vm, role) {
        LeafBits::writable()
    } else {
        LeafBits::dirty()
    }
}

/// Takes `bits` from the 4K leaves whose frames are set in `mask`, which starts at `base`.
struct ClearMasked {
    base: Gfn,
    mask: u64,
    bits: LeafBits,
}

impl<M: Locked> Visitor<M> for ClearMasked {
    const PICKS: bool = true;

    #[inline(always)]
    fn next_wanted(&self, gfn: Gfn) -> Wanted {
        // Behind the last frame nothing is left of the mask, and the answer lies behind the range.
        let passed = gfn.offset_from(self.base) as u32;
        let rest = self.mask.checked_shr(passed).unwrap_or(0);
        Wanted::of(gfn, rest)
    }

    #[inline(always)]
    fn wants(&self, spte: Spte, level: Level) -> bool {
        level == Level::PG_4K && spte.has(self.bits.mask())
    }

    #[inline(always)]
    fn visit(&mut self, entry: Entry<'_, M>, _context: &mut VisitContext<'_, '_>) -> Step {
        clear_leaf(entry, self.bits)
    }
}

/// Takes `bits` from a leaf that has any of them.
#[inline(always)]
pub(super) fn clear_leaf<M: Locked>(entry: Entry<'_, M>, bits: LeafBits) -> Step {
    let cx = entry.cx();
    let wanted = entry.spte().has(bits.mask());
    match entry.state() {
        State::Leaf(leaf) if wanted => match leaf.clear(bits) {
            Ok(change) => {
                report::spte_changed(&cx, &change);
                Step::Next
            }
            Err(_) => Step::Again,
        },
        _ => Step::Next,
    }
}

/// How a dirty log learns of the next write to a page that was made clean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogBy {
    /// The write faults.
    WriteProtection,
    /// The write sets the dirty bit. In trees where that is not logged, it faults.
    DirtyBits,
}

/// Makes the 4K pages of `slot` clean whose bits are set in `mask`; bit 0 is for `base`
/// (`kvm_tdp_mmu_clear_dirty_pt_masked`).
pub fn clear_dirty_masked(
    lock: &MmuLock<'_, Exclusive>,
    slot: &MemSlot,
    base: Gfn,
    mask: u64,
    log_by: LogBy,
) {
    let range = GfnRange::new(
        base.add(mask.trailing_zeros().into()),
        base.add((u64::BITS - mask.leading_zeros()).into()),
    );
    let rcu = rcu::read_lock();
    for root in lock.roots(&rcu, RootFilter::VALID.of(slot.address_space())) {
        let bits = match log_by {
            LogBy::WriteProtection => LeafBits::writable(),
            LogBy::DirtyBits => dirty_bits(lock.vm(), root.role()),
        };
        let mut visitor = ClearMasked { base, mask, bits };
        let mut flush = PendingFlush::none(lock.vm());
        walk_held(lock, &rcu, &root, range, &mut flush, &mut visitor);
    }
}

/// Makes every write to one frame fault, for write tracking.
struct WriteTrack {
    min_level: Level,
}

impl<M: Locked> Visitor<M> for WriteTrack {
    #[inline(always)]
    fn min_level(&self) -> Level {
        self.min_level
    }

    #[inline(always)]
    fn wants(&self, spte: Spte, level: Level) -> bool {
        spte.has(LeafBits::write_tracked().mask()) && spte.is_last(level)
    }

    #[inline(always)]
    fn visit(&mut self, entry: Entry<'_, M>, context: &mut VisitContext<'_, '_>) -> Step {
        track_leaf(entry, context)
    }
}

/// Makes writes to a leaf fault until somebody was asked.
#[inline(always)]
pub(super) fn track_leaf<M: Locked>(
    entry: Entry<'_, M>,
    context: &mut VisitContext<'_, '_>,
) -> Step {
    let cx = entry.cx();
    let State::Leaf(leaf) = entry.state() else {
        return Step::Next;
    };
    match leaf.write_track() {
        Ok((change, flush)) => {
            account(&cx, change);
            context.flush.add(flush);
            Step::Next
        }
        Err(_) => Step::Again,
    }
}

/// Write-protects the leaf that maps `gfn`, if it is at `min_level` or above, so that no fault
/// makes it writable without asking (`kvm_tdp_mmu_write_protect_gfn`).
pub fn write_protect_gfn<'vm>(
    lock: &MmuLock<'vm, Exclusive>,
    slot: &MemSlot,
    gfn: Gfn,
    min_level: Level,
) -> PendingFlush<'vm> {
    let mut flush = PendingFlush::none(lock.vm());
    let rcu = rcu::read_lock();
    for root in lock.roots(&rcu, RootFilter::VALID.of(slot.address_space())) {
        let mut visitor = WriteTrack { min_level };
        walk_held(
            lock,
            &rcu,
            &root,
            GfnRange::one(gfn),
            &mut flush,
            &mut visitor,
        );
    }
    flush
}
