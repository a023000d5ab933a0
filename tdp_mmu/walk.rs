// SPDX-License-Identifier: GPL-2.0

//! The walk over a tree of page tables.
//!
//! A walk visits tables as runs of entries: the part of one table that lies in the range. It passes absent entries in
//! rows, an absent subtree is one entry, and what a visitor does not want costs one test more. Entries are visited
//! before what lies below them. A visitor that picks frames says which is the next, and the walk goes there.
//!
//! Before a visit, on the way into a table and before each row of entries (`ROW`) the walk looks whether it should give
//! way; where a visitor picks frames, as `pick` says. If so it returns to the top, which ends every borrow of an entry
//! or table, and [`MmuLock::give_way`] flushes, leaves RCU, lets go of the lock and comes back. The walk then starts from
//! the root again, at the frame it stopped at. It does not give way twice at the same frame: each pass gets at least one
//! entry further. A long walk looks once before its first entry.
//!
//! C counterpart: `arch/x86/kvm/mmu/tdp_iter.c` and `tdp_mmu_iter_cond_resched()`.

use super::visitor::{
    GiveWay,
    Step,
    VisitContext,
    Visitor,
    Wanted, //
};
use crate::{
    kvm::{
        spte::SpteCell,
        table::{Proof, Table},
        Context,
        Entry,
        Gfn,
        GfnRange,
        Level,
        Locked,
        Lockless,
        MmuLock,
        Mode,
        PendingFlush,
        Spte,
        State,
        VmPage, //
    },
    sync::{rcu, Rcu}, //
};

mod pick;

/// How many entries are passed at once if none of them is present. That takes some 60 instructions, and one by one 130.
const ROW: usize = 16;

/// A walk over more than one page of this size is long.
const LONG: Level = Level::PG_1G;

/// Why a pass ended before its range did.
enum Halt {
    GiveWay(Gfn),
    Sleep(Gfn),
    Stop,
}

/// One way down from the root, from `range.start` on.
struct Pass<'p, 'vm, 'r, M: Mode, V> {
    cx: Context<'r, M>,
    range: GfnRange,
    min_level: Level,
    /// It gives way at frames behind this one: behind the first of the range, or nowhere.
    gives_way_behind: Gfn,
    visitor: &'p mut V,
    flush: &'p mut PendingFlush<'vm>,
    /// What the visitor wants next, if it picks frames, from some frame on that was passed.
    wanted: Wanted,
}

impl<'vm, 'r, M: Mode, V: Visitor<M>> Pass<'_, 'vm, 'r, M, V> {
    /// Visits what lies in the range of a table.
    fn walk_table(&mut self, table: Table<'r>) -> Result<(), Halt> {
        let level = table.level();
        if V::PICKS {
            return self.pick_from_table(table, level);
        }
        let (cells, mut behind) = self.entries_in_range(table);
        for row in cells.chunks(ROW) {
            let mut next = behind;
            behind = next.add(ROW as u64 * level.pages());
            self.give_way_at(next)?;
            if all_absent(row) {
                continue;
            }
            for cell in row {
                let gfn = next;
                next = gfn.add(level.pages());
                self.walk_entry(table, level, cell, gfn)?;
            }
        }
        Ok(())
    }

    /// Visits an entry of a table of `level`, and what lies below it.
    #[inline(always)]
    fn walk_entry(
        &mut self,
        table: Table<'r>,
        level: Level,
        cell: &SpteCell,
        gfn: Gfn,
    ) -> Result<(), Halt> {
        let mut spte = cell.load();
        if !spte.is_present() {
            return Ok(());
        }
        if self.visitor.wants(spte, level) {
            self.visit(&table, gfn)?;
            spte = cell.load();
        }
        if level > self.min_level && spte.is_table(level) {
            self.descend(table, gfn)?;
        }
        Ok(())
    }

    /// Goes into the table that the entry for `gfn` links, if it still does.
    fn descend(&mut self, table: Table<'r>, gfn: Gfn) -> Result<(), Halt> {
        self.give_way_at(gfn.max(self.range.start))?;
        let Some(State::Link(link)) = Entry::read(self.cx, table, gfn).map(Entry::state) else {
            return Ok(());
        };
        if link.level() == Level::PG_2M {
            self.walk_4k_table(link.table())
        } else {
            self.walk_table(link.table())
        }
    }

    /// Visits what lies in the range of a table of 4K leaves.
    #[inline(always)]
    fn walk_4k_table(&mut self, table: Table<'r>) -> Result<(), Halt> {
        if V::PICKS {
            return self.pick_from_4k_table(table);
        }
        let (cells, mut behind) = self.entries_in_range(table);
        for row in cells.chunks(ROW) {
            let mut next = behind;
            behind = next.add(ROW as u64);
            self.give_way_at(next)?;
            if all_absent(row) {
                continue;
            }
            for cell in row {
                let gfn = next;
                next = gfn.add(1);
                let spte = cell.load();
                if spte.is_present() && self.visitor.wants(spte, Level::PG_4K) {
                    self.visit(&table, gfn)?;
                }
            }
        }
        Ok(())
    }

    /// The entries of a table that lie in the range, and the first frame of the first of them.
    #[inline(always)]
    fn entries_in_range(&self, table: Table<'r>) -> (&'r [SpteCell], Gfn) {
        let (base, level) = (table.gfn(), table.level());
        let start = self.range.start.max(base);
        let end = base.add(level.table_pages()).min(self.range.end);
        let first = start.index_from(base, level);
        let last = end.prev().index_from(base, level);
        let cells = table.cells().get(first..=last).unwrap_or(&[]);
        (cells, start.round_down(level))
    }

    /// Whether the walk may give way at the entry for `gfn`: not where it has just begun.
    #[inline(always)]
    fn may_give_way(&self, gfn: Gfn) -> bool {
        gfn > self.gives_way_behind
    }

    /// Gives way at the entry for `gfn`, if the walk may and should.
    #[inline(always)]
    fn give_way_at(&self, gfn: Gfn) -> Result<(), Halt> {
        if self.may_give_way(gfn) && self.cx.vm().wants_break() {
            return Err(Halt::GiveWay(gfn));
        }
        Ok(())
    }

    /// Visits the entry for `gfn` until it wants no more.
    #[inline(always)]
    fn visit(&mut self, table: &Table<'r>, gfn: Gfn) -> Result<(), Halt> {
        self.give_way_at(gfn)?;
        match present(Entry::read(self.cx, *table, gfn)) {
            Some(entry) => self.visit_entry(table, entry),
            None => Ok(()),
        }
    }

    /// Visits a present entry of `table` until it wants no more.
    #[inline(always)]
    fn visit_entry(&mut self, table: &Table<'r>, entry: Entry<'r, M>) -> Result<(), Halt> {
        let gfn = entry.gfn();
        match self.visit_once(entry) {
            Step::Next => Ok(()),
            // Visitors that say no more than these two carry nothing along for another visit.
            Step::Stop => Err(Halt::Stop),
            step => self.visit_again(step, table, gfn),
        }
    }

    /// Goes on after a visit that was not the last one of its entry. That is rare, and kept out of the way.
    #[cold]
    #[inline(never)]
    fn visit_again(&mut self, mut step: Step, table: &Table<'r>, gfn: Gfn) -> Result<(), Halt> {
        loop {
            match step {
                Step::Next => return Ok(()),
                Step::Again => {}
                Step::Stop => return Err(Halt::Stop),
                Step::Sleep => return Err(Halt::Sleep(gfn.max(self.range.start))),
            }
            self.give_way_at(gfn)?;
            let Some(entry) = present(Entry::read(self.cx, *table, gfn)) else {
                return Ok(());
            };
            step = self.visit_once(entry);
        }
    }

    #[inline(always)]
    fn visit_once(&mut self, entry: Entry<'r, M>) -> Step {
        let mut context = VisitContext {
            may_give_way: self.may_give_way(entry.gfn()),
            vm: self.cx.vm(),
            flush: self.flush,
        };
        self.visitor.visit(entry, &mut context)
    }

    /// Walks the whole range below the root's `table`.
    fn walk_root(&mut self, mut table: Table<'r>) -> Result<(), Halt> {
        if self.range.is_empty() {
            return Ok(());
        }
        // Most walks are about a few pages. Go straight to the table where they part.
        while table.level() > self.min_level && self.range.within_one(table.level()) {
            let Some(entry) = Entry::read(self.cx, table, self.range.start) else {
                return Ok(());
            };
            if entry.spte().is_present() && self.visitor.wants(entry.spte(), table.level()) {
                break;
            }
            let State::Link(link) = entry.state() else {
                return Ok(());
            };
            table = link.table();
        }
        if table.level() == Level::PG_4K {
            self.walk_4k_table(table)
        } else {
            self.walk_table(table)
        }
    }
}

/// Whether none of the entries of a row holds anything. Most rows are full or empty: the first entry answers for the
/// full ones, and the rest is one test for all. For less than a row, the answer is no.
#[inline(always)]
fn all_absent(row: &[SpteCell]) -> bool {
    let Ok(row) = <&[SpteCell; ROW]>::try_from(row) else {
        return false;
    };
    let any = |bits, cell: &SpteCell| bits | cell.load().raw();
    !row[0].load().is_present() && !Spte::new(row.iter().fold(0, any)).is_present()
}

/// The entry, if it holds anything.
#[inline(always)]
fn present<M: Mode>(entry: Option<Entry<'_, M>>) -> Option<Entry<'_, M>> {
    entry.filter(|entry| entry.spte().is_present())
}

/// Walks what `root` maps of `range`.
///
/// On return `flush` holds what is still owed.
pub fn walk<M: Locked, V: Visitor<M>>(
    lock: &mut MmuLock<'_, M>,
    root: &VmPage<'_>,
    mut range: GfnRange,
    give_way: GiveWay,
    flush: &mut PendingFlush<'_>,
    visitor: &mut V,
) {
    let mut rcu = rcu::read_lock();
    // The caller has held the lock for a while, and it is some more until a long walk comes to its second entry.
    let is_long = !range.is_empty() && !range.within_one(LONG);
    if give_way == GiveWay::WhenAsked && is_long && lock.vm().wants_break() {
        rcu = lock.give_way(rcu, flush);
    }
    loop {
        let Some((cx, table)) = Context::enter(&*lock, &rcu, root) else {
            break;
        };
        let mut pass = Pass {
            cx,
            range,
            min_level: visitor.min_level(),
            gives_way_behind: give_way.behind(range.start),
            wanted: visitor.next_wanted(range.start),
            visitor: &mut *visitor,
            flush: &mut *flush,
        };
        match pass.walk_root(table) {
            Ok(()) | Err(Halt::Stop) => break,
            Err(Halt::GiveWay(gfn)) => {
                rcu = lock.give_way(rcu, flush);
                range.start = gfn;
            }
            Err(Halt::Sleep(gfn)) => {
                let flow;
                (flow, rcu) = lock.unlocked(rcu, flush, || visitor.sleep());
                if flow.is_break() {
                    break;
                }
                range.start = gfn;
            }
        }
    }
    if V::REMOVES_TABLES {
        flush.flush();
    }
}

/// Walks what `root` maps of `range` without ever giving way, during one hold of the lock.
pub fn walk_held<M: Locked, V: Visitor<M>>(
    lock: &MmuLock<'_, M>,
    rcu: &impl Rcu,
    root: &VmPage<'_>,
    range: GfnRange,
    flush: &mut PendingFlush<'_>,
    visitor: &mut V,
) {
    once(lock, rcu, root, range, flush, visitor);
}

/// Walks what `root` maps of `range` without `mmu_lock`.
pub fn walk_lockless<V: Visitor<Lockless>>(
    rcu: &impl Rcu,
    root: &VmPage<'_>,
    range: GfnRange,
    visitor: &mut V,
) {
    let mut flush = PendingFlush::none(root.vm());
    once(root.vm(), rcu, root, range, &mut flush, visitor);
}

fn once<M: Mode, V: Visitor<M>>(
    proof: &impl Proof<Mode = M>,
    rcu: &impl Rcu,
    root: &VmPage<'_>,
    range: GfnRange,
    flush: &mut PendingFlush<'_>,
    visitor: &mut V,
) {
    let Some((cx, table)) = Context::enter(proof, rcu, root) else {
        return;
    };
    let mut pass = Pass {
        cx,
        range,
        min_level: visitor.min_level(),
        gives_way_behind: GiveWay::Never.behind(range.start),
        wanted: visitor.next_wanted(range.start),
        visitor,
        flush,
    };
    // Nothing here flushes before the caller's RCU section ends.
    const { assert!(!V::REMOVES_TABLES) };
    // Without yielding a pass ends early only if the visitor stops it; none sleeps here.
    let _ = pass.walk_root(table);
}
