// SPDX-License-Identifier: GPL-2.0

//! Zapping: ranges of leaves, and whole roots.
//!
//! C counterparts: `tdp_mmu_zap_leafs()`, `tdp_mmu_zap_root()` and their callers.

use super::{
    change::{zap_leaf, zap_link},
    each_root::for_each_root,
    visitor::{GiveWay, Step, VisitContext, Visitor},
    walk::walk, //
};
use crate::kvm::{
    Entry,
    Exclusive,
    Flush,
    Gfn,
    GfnRange,
    Level,
    Locked,
    MmuLock,
    PendingFlush,
    RootFilter,
    SlotRange,
    Spte,
    State,
    Vm,
    VmPage,
    Waiver, //
};
use core::ops::ControlFlow;

/// Zaps all leaves of a range, and leaves the tables.
struct ZapLeaves {
    root_invalid: bool,
}

impl<M: Locked> Visitor<M> for ZapLeaves {
    #[inline(always)]
    fn wants(&self, spte: Spte, level: Level) -> bool {
        spte.is_last(level)
    }

    #[inline(always)]
    fn visit(&mut self, entry: Entry<'_, M>, context: &mut VisitContext<'_, '_>) -> Step {
        let State::Leaf(leaf) = entry.state() else {
            return Step::Next;
        };
        match zap_leaf(leaf) {
            Ok(flush) if self.root_invalid => flush.waive(Waiver::InvalidRoot),
            Ok(flush) => context.flush.add(flush),
            Err(_) => return Step::Again,
        }
        Step::Next
    }
}

fn zap_leaves<M: Locked>(
    lock: &mut MmuLock<'_, M>,
    root: &VmPage<'_>,
    range: GfnRange,
    give_way: GiveWay,
    flush: &mut PendingFlush<'_>,
) {
    let mut visitor = ZapLeaves {
        root_invalid: root.role().is_invalid(),
    };
    let range = range.clamp_end(Vm::gfn_end());
    walk(lock, root, range, give_way, flush, &mut visitor);
}

/// Zaps what valid roots map of `range`, giving way to others (`kvm_tdp_mmu_zap_leafs`).
pub fn zap_range<'vm, M: Locked>(
    lock: &mut MmuLock<'vm, M>,
    range: GfnRange,
    mut flush: PendingFlush<'vm>,
) -> PendingFlush<'vm> {
    for_each_root(lock, RootFilter::VALID, |lock, root| {
        zap_leaves(lock, root, range, GiveWay::WhenAsked, &mut flush);
        ControlFlow::Continue(())
    });
    flush
}

/// Zaps what any root maps of a range whose backing is about to go, invalid roots included: nobody
/// may use the memory after the notifier returns.
pub fn unmap_range<'vm, M: Locked>(
    lock: &mut MmuLock<'vm, M>,
    range: SlotRange,
    mut flush: PendingFlush<'vm>,
) -> PendingFlush<'vm> {
    let give_way = if range.may_block {
        GiveWay::WhenAsked
    } else {
        GiveWay::Never
    };
    let filter = RootFilter::ALL.of(range.address_space);
    for_each_root(lock, filter, |lock, root| {
        zap_leaves(lock, root, range.range, give_way, &mut flush);
        ControlFlow::Continue(())
    });
    flush
}

/// As [`unmap_range`], for callers in C (`kvm_tdp_mmu_unmap_gfn_range`). Returns whether a flush is owed.
///
/// They go on with other slots, and keep what one slot owes to themselves while the walk of the next one
/// gives way. So where a walk may give way, nothing is left to them.
pub fn unmap_slot<'vm>(
    lock: &mut MmuLock<'vm, Exclusive>,
    range: SlotRange,
    flush: PendingFlush<'vm>,
) -> bool {
    let mut flush = unmap_range(lock, range, flush);
    if range.may_block {
        flush.flush();
    }
    flush.into_caller()
}

/// Zaps all entries of one level, leaves and links.
struct ZapLevel {
    level: Level,
    why_no_flush: Waiver,
}

impl<M: Locked> Visitor<M> for ZapLevel {
    #[inline(always)]
    fn min_level(&self) -> Level {
        self.level
    }

    #[inline(always)]
    fn wants(&self, _spte: Spte, level: Level) -> bool {
        level == self.level
    }

    #[inline(always)]
    fn visit(&mut self, entry: Entry<'_, M>, _context: &mut VisitContext<'_, '_>) -> Step {
        match zap_present(entry) {
            Ok(flush) => {
                flush
                    .into_iter()
                    .for_each(|flush| flush.waive(self.why_no_flush));
                Step::Next
            }
            Err(_) => Step::Again,
        }
    }
}

fn zap_present<M: Locked>(entry: Entry<'_, M>) -> Result<Option<Flush>, M::Raced> {
    match entry.state() {
        State::Leaf(leaf) => zap_leaf(leaf).map(Some),
        State::Link(link) => zap_link(link).map(Some),
        State::Absent(_) | State::Frozen => Ok(None),
    }
}

/// Zaps everything below `root`, which somebody must hold a reference to: notifiers have to find
/// it for as long as it maps anything.
///
/// It goes from small pages to large, in passes. That takes longer than cutting the tree off at
/// the top, but each step is short enough for others to wait. `CONFIG_KVM_PROVE_MMU` asks for the
/// large steps, which faults can cause too.
pub fn zap_root<M: Locked>(lock: &mut MmuLock<'_, M>, root: &VmPage<'_>, why_no_flush: Waiver) {
    let first = if cfg!(CONFIG_KVM_PROVE_MMU) {
        Level::PG_1G
    } else {
        Level::PG_4K
    };
    let passes = [Level::PG_4K, Level::PG_2M, Level::PG_1G, root.level()];
    for level in passes.into_iter().filter(|level| *level >= first) {
        let mut visitor = ZapLevel {
            level,
            why_no_flush,
        };
        let mut flush = PendingFlush::none(lock.vm());
        let all = GfnRange::new(Gfn::new(0), Vm::gfn_end());
        walk(
            lock,
            root,
            all,
            GiveWay::WhenAsked,
            &mut flush,
            &mut visitor,
        );
    }
}

/// Zaps all roots for good: the VM or the address space behind it is going (`kvm_tdp_mmu_zap_all`).
pub fn zap_all(lock: &mut MmuLock<'_, Exclusive>) {
    for_each_root(lock, RootFilter::ALL, |lock, root| {
        zap_root(lock, root, Waiver::NoVcpuRuns);
        ControlFlow::Continue(())
    });
}
