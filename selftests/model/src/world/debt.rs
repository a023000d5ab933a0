// SPDX-License-Identifier: GPL-2.0

//! Flushes that are owed: what was unmapped and may be in a TLB still.
//!
//! A flush is owed by the hold of `mmu_lock` that made it necessary, for read or for write, and must
//! be done before that hold ends or gives way: who comes next finds the entry absent, has no reason
//! to flush, and gives the memory away. For the same reason nobody may owe one for memory that a
//! notifier revoked, when this returns. Invalid roots owe nothing: no CPU uses them again.

use crate::{
    atomic::{
        plain::{lock, Mutex},
        thread_local,
    },
    kvm::GfnRange,
};
use std::cell::Cell;

thread_local! {
    /// Number of the thread's hold of `mmu_lock`, or of its last one.
    static HOLD: Cell<u64> = Cell::new(0);
}

/// What a VM owes.
#[derive(Default)]
pub struct Debt(Mutex<Books>);

#[derive(Default)]
struct Books {
    holds: u64,
    owed: Vec<Owed>,
    entries: u64,
}

#[derive(Clone, Copy, Debug)]
struct Owed {
    range: GfnRange,
    entry: u64,
    hold: u64,
}

/// The debts that there were at some moment: those that a flush that begins now will settle.
#[derive(Clone, Copy)]
pub struct Moment(u64);

impl Debt {
    /// A hold of the lock begins.
    pub fn open(&self) {
        let mut books = lock(&self.0);
        books.holds += 1;
        HOLD.with(|hold| hold.set(books.holds));
    }

    /// The thread unmapped `range`, or cut off what spans it.
    pub fn owe(&self, range: GfnRange) {
        let mut books = lock(&self.0);
        books.entries += 1;
        let owed = Owed {
            range,
            entry: books.entries,
            hold: HOLD.with(Cell::get),
        };
        books.owed.push(owed);
    }

    /// Before TLBs are flushed.
    pub fn now(&self) -> Moment {
        Moment(lock(&self.0).entries)
    }

    /// TLBs were flushed: of all, or of `range`. The flush began at `moment`.
    pub fn settle(&self, range: Option<GfnRange>, moment: Moment) {
        let within = |owed: &Owed| range.is_none_or(|range| range.covers(owed.range));
        lock(&self.0)
            .owed
            .retain(|owed| owed.entry > moment.0 || !within(owed));
    }

    /// Fails if the thread's hold owes anything. It ends.
    pub fn close(&self) {
        let hold = HOLD.with(Cell::get);
        self.none(|owed| owed.hold == hold, "were unmapped");
    }

    /// Fails if anybody owes anything.
    pub fn check(&self) {
        self.none(|_| true, "were unmapped");
    }

    /// Fails if anybody owes a flush of a part of `range`.
    pub fn check_range(&self, range: GfnRange) {
        self.none(
            |owed| owed.range.overlaps(range),
            "are gone for the notifier",
        );
    }

    fn none(&self, which: impl Fn(&Owed) -> bool, why: &str) {
        let owed: Vec<_> = lock(&self.0).owed.iter().copied().filter(which).collect();
        assert!(owed.is_empty(), "a flush was lost: {owed:?} {why}");
    }
}
