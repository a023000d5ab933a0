// SPDX-License-Identifier: GPL-2.0

//! The harvest of a dirty log, while the guest and its faults go on.
//!
//! C holds `mmu_lock` for write over the whole bitmap: every vCPU that faults stands still. Here the lock is
//! held for read, and the walk gives way. That is right because of an order in which everybody goes:
//!
//! | harvest | fault that makes a page writable |
//! |---|---|
//! | 1. takes all bits out of the log | 1. marks the page |
//! | 2. takes the rights to write, or dirty bits, from the pages | 2. makes the entry writable |
//! | 3. flushes TLBs | 3. marks the page again, if the mark is gone |
//! | 4. hands the pages over | |
//!
//! If the harvest's step 2 sees the entry writable, the write comes before the flush, and so before userspace
//! copies the page. If it does not, the fault's step 2 comes later, and its step 3 finds that the mark was
//! taken. With dirty bits the CPU's step 2 is to set one, and step 3 is in its log (PML).
//!
//! One walk of each root goes over all of the log. It gives way where pages are, and after many words without one.
//!
//! A VM with shadow pages goes word by word, with the lock held for write, and gives way after each word: the
//! shadow MMU knows no other way. Its faults hold the lock for write from the mark to the entry.
//!
//! A dirty ring has the page once the entry is writable, which is all that step 3 is for. Resetting the ring is
//! steps 2 and 3 of the harvest.
//!
//! C counterparts: the loops of `kvm_get_dirty_log_protect()` and `kvm_clear_dirty_log_protect()`,
//! `kvm_reset_dirty_gfn()`, and `kvm_arch_mmu_enable_log_dirty_pt_masked()`.

use super::{
    dirty::{clear_leaf, dirty_bits, track_leaf},
    each_root::for_each_root,
    split::try_split_taken,
    visitor::{GiveWay, Step, VisitContext, Visitor, Wanted},
    walk::walk, //
};
use crate::{
    kvm::{
        log::{
            Part,
            Report,
            RingPages,
            WantedLog, //
        },
        Entry,
        Flushed,
        Gfn,
        LeafBits,
        Level,
        MmuLock,
        PendingFlush,
        RootFilter,
        Shared,
        Spte, //
    },
    sync::rcu, //
};
use core::ops::ControlFlow;

/// Takes the pages that userspace wants and that are dirty out of a slot's log, and makes their next
/// writes count again.
pub fn harvest(wanted: WantedLog<'_>) -> Report {
    wanted.take().rearm(rearm).flush()
}

/// Makes the next writes to pages count again that were in a dirty ring, once C has flushed.
pub fn rearm_ring(pages: RingPages<'_>) {
    pages.rearm(rearm);
}

/// Returns what was flushed after the last page.
fn rearm<'a>(part: &Part<'a>) -> Option<Flushed<'a>> {
    let vm = part.vm();
    // The bits are taken: a shadow page from before is seen here, and one from later is marked in the log.
    if vm.has_rmaps() {
        return rearm_by_word(part);
    }
    let mut guard = vm.mmu_read();
    let lock: &mut MmuLock<'_, Shared> = &mut guard;
    let began_dirty = vm.logs_begin_dirty();
    if began_dirty && vm.splits_eagerly() {
        try_split_taken(lock, part);
    }
    let filter = RootFilter::VALID.of(part.slot().address_space());
    // Huge pages owe one before the lock is dropped, as in all write tracking.
    let mut flush = PendingFlush::in_slot(vm, part.slot());
    for_each_root(lock, filter, |lock, root| {
        let bits = match vm.has_cpu_dirty_log() {
            true => dirty_bits(vm, root.role()),
            false => LeafBits::writable(),
        };
        let mut visitor = Rearm {
            part,
            bits,
            huge: began_dirty,
        };
        let range = part.range();
        walk(
            lock,
            root,
            range,
            GiveWay::WhenAsked,
            &mut flush,
            &mut visitor,
        );
        ControlFlow::Continue(())
    });
    flush.finish()
}

/// Makes the pages clean, and write-protects what huge pages there still are around them: where a log begins
/// with every page dirty, huge pages stay until they are cleared.
struct Rearm<'a> {
    part: &'a Part<'a>,
    bits: LeafBits,
    huge: bool,
}

impl Visitor<Shared> for Rearm<'_> {
    const PICKS: bool = true;

    #[inline(always)]
    fn next_wanted(&self, gfn: Gfn) -> Wanted {
        let (gfn, mask) = self.part.next(gfn);
        Wanted::of(gfn, mask)
    }

    #[inline(always)]
    fn wants(&self, spte: Spte, level: Level) -> bool {
        match level == Level::PG_4K {
            true => spte.has(self.bits.mask()),
            false => self.huge && spte.has(LeafBits::write_tracked().mask()) && spte.is_last(level),
        }
    }

    #[inline(always)]
    fn visit(&mut self, entry: Entry<'_, Shared>, context: &mut VisitContext<'_, '_>) -> Step {
        match entry.level() == Level::PG_4K {
            true => clear_leaf(entry, self.bits),
            false => track_leaf(entry, context),
        }
    }
}

/// Both MMUs, one word of pages after the other.
fn rearm_by_word<'a>(part: &Part<'a>) -> Option<Flushed<'a>> {
    let vm = part.vm();
    let mut flush = PendingFlush::in_slot(vm, part.slot());
    let mut lock = vm.mmu_write();
    for (gfn, mask) in part.words() {
        if mask != 0 {
            lock.rearm_word(part, gfn, mask, &mut flush);
        }
        if vm.wants_break() {
            drop(lock.give_way(rcu::read_lock(), &mut flush));
        }
    }
    flush.finish()
}
