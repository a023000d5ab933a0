// SPDX-License-Identifier: GPL-2.0

//! Splitting huge pages, because a fault needs a small one or before dirty logging does.
//!
//! The new table is filled completely before it is linked, and maps what the huge page mapped, so
//! no flush is needed: CPUs may use either.
//!
//! C counterparts: `tdp_mmu_split_huge_page()` and `kvm_tdp_mmu_try_split_huge_pages()`.

use super::{
    change::account,
    each_root::for_each_root,
    leaf::small_from_huge,
    visitor::{GiveWay, Step, VisitContext, Visitor, Wanted},
    walk::walk, //
};
use crate::kvm::{
    log::Part,
    table::{
        report::{self, SplitResult},
        Leaf, LinkError, SplitMemory, Table, TableMemory, TransitionError,
    },
    types::ENTRIES,
    Entry,
    Gfn,
    GfnRange,
    LeafBits,
    Level,
    Locked,
    MemSlot,
    MmuLock,
    NxHugePage,
    PendingFlush,
    RootFilter,
    Shared,
    Spte,
    State, //
};
use core::ops::ControlFlow;

/// What becomes of a huge page's dirty bit when small pages take its place.
pub enum DirtyBits {
    /// All small pages have it.
    Copy,
    /// None has it: each will be logged when it is written.
    Clear,
}

/// Puts a table of small pages in the place of `huge`. The memory comes back if it changed.
fn split<'r, M: Locked>(
    huge: Leaf<'r, M>,
    memory: SplitMemory,
    nx: NxHugePage,
    dirty: DirtyBits,
) -> Result<Table<'r>, LinkError<SplitMemory, M::Raced>> {
    let (cx, at) = (huge.cx(), huge.snapshot());
    let whole = match dirty {
        DirtyBits::Copy => at.spte,
        DirtyBits::Clear => at.spte.without(LeafBits::dirty().mask()),
    };
    let table = memory.fill(&huge, nx, |level, index| {
        small_from_huge(cx.vm(), whole, cx.role(), level, index).spte()
    });
    match huge.split(table) {
        Ok((change, table)) => {
            account(&cx, change);
            cx.vm().count_pages(table.level(), ENTRIES as i32);
            report::huge_page_split(at.gfn, at.spte, at.level, SplitResult::Done);
            Ok(table)
        }
        Err(LinkError { table, error }) => {
            if matches!(error, TransitionError::Raced(_)) {
                report::huge_page_split(at.gfn, at.spte, at.level, SplitResult::Raced);
            }
            Err(LinkError {
                table: table.into_memory(),
                error,
            })
        }
    }
}

/// Splits the huge page that a fault found above its goal level.
///
/// If the slot logs writes, the small pages start clean. A write may come after logging made the
/// huge page clean and before it takes away the right to write: the dirty bit of that one frame
/// must not become that of all, or the CPU would not log the others' writes. C copies it. It takes a
/// huge page that was left when logging started: by `eager_page_split=N`, or for lack of memory.
pub fn split_for_fault<'r>(
    huge: Leaf<'r, Shared>,
    memory: TableMemory,
    nx: NxHugePage,
    dirty: DirtyBits,
) -> Result<Table<'r>, LinkError<SplitMemory>> {
    split(huge, memory.into(), nx, dirty)
}

/// Splits all huge pages above a level, each into one level less at a time: the walk goes on into
/// the new table and finds what is still to be split there.
struct SplitHuge<'a> {
    target: Level,
    /// If there are such, only huge pages around dirty ones.
    taken: Option<&'a Part<'a>>,
    /// Frames before this one are done with.
    left: Gfn,
    memory: Option<SplitMemory>,
    /// The huge page that memory is wanted for.
    waiting: Option<HugePage>,
    failed: bool,
}

/// What the tracepoint needs to know of a huge page once the lock is gone.
#[derive(Clone, Copy)]
struct HugePage {
    gfn: Gfn,
    spte: Spte,
    level: Level,
}

impl<M: Locked> Visitor<M> for SplitHuge<'_> {
    const PICKS: bool = true;

    #[inline(always)]
    fn next_wanted(&self, gfn: Gfn) -> Wanted {
        let from = gfn.max(self.left);
        let (gfn, mask) = self
            .taken
            .map_or((from, u64::MAX), |taken| taken.next(from));
        Wanted::of(gfn, mask)
    }

    #[inline(always)]
    fn min_level(&self) -> Level {
        self.target.above().unwrap_or(Level::MAX)
    }

    #[inline(always)]
    fn wants(&self, spte: Spte, level: Level) -> bool {
        spte.is_last(level)
    }

    fn visit(&mut self, entry: Entry<'_, M>, _context: &mut VisitContext<'_, '_>) -> Step {
        let State::Leaf(huge) = entry.state() else {
            return Step::Next;
        };
        let Some(memory) = self.memory.take() else {
            self.waiting = Some(HugePage {
                gfn: huge.gfn(),
                spte: huge.spte(),
                level: huge.level(),
            });
            return Step::Sleep;
        };
        match split(huge, memory, NxHugePage::Allowed, DirtyBits::Copy) {
            Ok(_) => Step::Next,
            Err(LinkError { table, error }) => {
                self.memory = Some(table);
                error.into()
            }
        }
    }

    fn sleep(&mut self) -> ControlFlow<()> {
        self.memory = SplitMemory::alloc();
        if self.memory.is_some() {
            return ControlFlow::Continue(());
        }
        let Some(at) = self.waiting else {
            return ControlFlow::Break(());
        };
        report::huge_page_split(at.gfn, at.spte, at.level, SplitResult::NoMemory);
        // Of pages that were taken, these stay huge. As on C, others may find memory again.
        if self.taken.is_some() {
            self.left = at.gfn.add(at.level.pages());
            return ControlFlow::Continue(());
        }
        self.failed = true;
        ControlFlow::Break(())
    }
}

/// Splits what huge pages `slot` has in `range` down to `target`, as far as memory goes. Drops the
/// lock to allocate, and gives way to others (`kvm_tdp_mmu_try_split_huge_pages`).
pub fn try_split_huge_pages<M: Locked>(
    lock: &mut MmuLock<'_, M>,
    slot: &MemSlot,
    range: GfnRange,
    target: Level,
) {
    try_split(lock, slot, range, target, None);
}

/// As above, down to small pages, where pages were taken out of the log.
pub fn try_split_taken(lock: &mut MmuLock<'_, Shared>, taken: &Part<'_>) {
    try_split(lock, taken.slot(), taken.range(), Level::PG_4K, Some(taken));
}

fn try_split<M: Locked>(
    lock: &mut MmuLock<'_, M>,
    slot: &MemSlot,
    range: GfnRange,
    target: Level,
    taken: Option<&Part<'_>>,
) {
    let filter = RootFilter::VALID.of(slot.address_space());
    for_each_root(lock, filter, |lock, root| {
        let mut visitor = SplitHuge {
            target,
            taken,
            left: range.start,
            memory: None,
            waiting: None,
            failed: false,
        };
        let mut flush = PendingFlush::none(lock.vm());
        walk(
            lock,
            root,
            range,
            GiveWay::WhenAsked,
            &mut flush,
            &mut visitor,
        );
        if visitor.failed {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
}
