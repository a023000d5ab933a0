// SPDX-License-Identifier: GPL-2.0

//! A harvest of a slot's dirty log, as values of which each is made from the one before.
//!
//! | value | what has happened |
//! |---|---|
//! | [`WantedLog`] | userspace has named pages |
//! | [`TakenLog`] | those of them that are dirty are in the log no more |
//! | [`Rearmed`] | the next write to each is noticed, by CPUs without a stale translation |
//! | [`Report`] | no CPU has one: userspace may have the pages |
//!
//! Userspace has the pages of a dirty ring already ([`RingPages`]). It may copy them when its call to reset the ring
//! returns, for which C flushes once.
//!
//! In another order a write gets lost. It would be in no log if a page were made clean before it was
//! taken, as faults mark a page and then map it; and it would be in an old one, whose page userspace
//! has copied already, if that were reported before the flush.
//!
//! The model compiles this file as it is.

#![forbid(unsafe_code)]

use super::{
    memslot::MemSlot,
    raw::Vm,
    slots::SlotsLocked, //
};
use crate::kvm::{
    lock::Flushed,
    types::{Gfn, GfnRange}, //
};
use core::cell::Cell;

/// Bits of a word of the log.
const WORD: u64 = u64::BITS as u64;
/// Words that are looked at together.
const TOGETHER: usize = 8;

/// Pages of a slot's, by a bit for each.
struct Pages<'a> {
    /// The page of the first bit.
    base: Gfn,
    words: &'a [u64],
    /// A word from which on there was a search, and where it ended: those in between are empty.
    searched: Cell<(usize, usize)>,
}

impl<'a> Pages<'a> {
    fn new(base: Gfn, words: &'a [u64]) -> Self {
        Self {
            base,
            words,
            searched: Cell::new((0, 0)),
        }
    }

    /// The page of bit 0 of a word.
    fn at(&self, index: usize) -> Gfn {
        self.base.add(index as u64 * WORD)
    }

    /// The first page of a word that is set in `kept`.
    #[inline(always)]
    fn first_of(&self, index: usize, kept: u64) -> Option<Gfn> {
        let word = self.words.get(index)? & kept;
        (word != 0).then(|| self.at(index).add(word.trailing_zeros().into()))
    }

    /// The first page from `gfn` on that is among them, or one behind all of them.
    #[inline]
    fn next(&self, gfn: Gfn) -> Gfn {
        let passed = gfn.offset_from(self.base);
        let (index, bit) = ((passed / WORD) as usize, passed % WORD);
        self.first_of(index, u64::MAX << bit)
            .unwrap_or_else(|| self.first_from(index + 1))
    }

    /// The first page from a word on, or one behind all of them.
    ///
    /// A walk asks for it at the end of a table, and again at that of the table above.
    fn first_from(&self, index: usize) -> Gfn {
        let (first, mut found) = self.searched.get();
        if !(first..found).contains(&index) {
            found = index + empty_at_begin(self.words.get(index..).unwrap_or(&[]));
            self.searched.set((index, found));
        }
        self.first_of(found, u64::MAX).unwrap_or(self.at(found))
    }
}

/// How many words are empty before there is one that is not. Most words are, so it looks at several at once.
fn empty_at_begin(words: &[u64]) -> usize {
    let are_empty = |words: &&[u64]| words.iter().fold(0, |all, word| all | word) == 0;
    let empty = TOGETHER * words.chunks_exact(TOGETHER).take_while(are_empty).count();
    let rest = words.iter().skip(empty);
    empty + rest.take_while(|word| **word == 0).count()
}

/// What userspace wants of a slot's log.
pub struct WantedLog<'a> {
    locked: &'a SlotsLocked<'a>,
    slot: &'a MemSlot,
    first: usize,
    words: &'a mut [u64],
    all: bool,
}

impl<'a> WantedLog<'a> {
    /// The pages that are set in `words`, or `all` that these words have room for. The first word stands
    /// beside word `first` of the log of `slot`.
    #[inline(always)]
    pub fn new(
        locked: &'a SlotsLocked<'a>,
        slot: &'a MemSlot,
        first: usize,
        words: &'a mut [u64],
        all: bool,
    ) -> Self {
        Self {
            locked,
            slot,
            first,
            words,
            all,
        }
    }

    /// Takes those that are dirty out of the log. What is behind the log's end is never dirty. A slot of another
    /// VM marks the VM as broken.
    pub fn take(self) -> TakenLog<'a> {
        let (locked, first, words) = (self.locked, self.first, self.words);
        let known = locked.have(self.slot);
        if !known {
            locked.vm().bug();
        }
        // INVARIANT: That was looked at.
        let any = known && locked.take_from_log(self.slot, first, words, self.all);
        let base = self.slot.range().start.add(first as u64 * WORD);
        TakenLog {
            vm: locked.vm(),
            slot: self.slot,
            pages: Pages::new(base, words),
            any,
        }
    }
}

/// Dirty pages that were taken out of a slot's log, or of a dirty ring. From now on their writes have to be noticed again.
///
/// # Invariants
///
/// If there are any, the slot is one of the VM's, whose `slots_lock` the task holds.
#[must_use = "writes to these pages are no longer in the log"]
pub struct TakenLog<'a> {
    vm: &'a Vm,
    slot: &'a MemSlot,
    pages: Pages<'a>,
    any: bool,
}

impl<'a> TakenLog<'a> {
    /// The VM.
    #[inline(always)]
    pub fn vm(&self) -> &'a Vm {
        self.vm
    }

    /// The slot.
    #[inline(always)]
    pub fn slot(&self) -> &'a MemSlot {
        self.slot
    }

    /// The first page from `gfn` on, or one behind all of them. `gfn` must not lie before all of them.
    #[inline(always)]
    pub fn next(&self, gfn: Gfn) -> Gfn {
        self.pages.next(gfn)
    }

    /// Frames among which all pages are.
    pub fn range(&self) -> GfnRange {
        let end = self.pages.at(self.pages.words.len());
        GfnRange::new(self.pages.base, end.min(self.slot.range().end))
    }

    /// The pages by words of 64, empty ones left out: the page of bit 0, and the bits.
    pub fn words(&self) -> impl Iterator<Item = (Gfn, u64)> + '_ {
        let words = self.pages.words.iter().enumerate();
        words
            .filter(|(_, word)| **word != 0)
            .map(|(index, word)| (self.pages.at(index), *word))
    }

    /// Has `rearm` see to it that the next write to each page is noticed, if there is one. It returns what it has
    /// flushed after the last page, if anything.
    pub fn rearm(self, rearm: impl FnOnce(&Self) -> Option<Flushed<'a>>) -> Rearmed<'a> {
        let flushed = self.any.then(|| rearm(&self)).flatten();
        let done = flushed.is_some_and(|flushed| flushed.covers(self.vm, self.slot));
        let owed = self.any && !done;
        Rearmed { taken: self, owed }
    }
}

/// Dirty pages of which CPUs may have stale translations, by which a write goes unnoticed.
#[must_use = "CPUs may still write to these pages unnoticed"]
pub struct Rearmed<'a> {
    taken: TakenLog<'a>,
    owed: bool,
}

impl Rearmed<'_> {
    /// Flushes the slot from all TLBs, if there is a dirty page and that was not done yet.
    pub fn flush(self) -> Report {
        if self.owed {
            self.taken.vm.flush_remote_tlbs_slot(self.taken.slot);
        }
        Report(())
    }
}

/// Pages that were in a dirty ring, where each comes once it is writable.
#[must_use = "writes to these pages are no longer in the ring"]
pub struct RingPages<'a>(TakenLog<'a>);

impl<'a> RingPages<'a> {
    /// Those that are set in `words`, from `base` on. `None` if `base` is not in the slot, or that is not one of the
    /// VM's.
    pub fn new(
        locked: &SlotsLocked<'a>,
        slot: &'a MemSlot,
        base: Gfn,
        words: &'a [u64],
    ) -> Option<Self> {
        let any = words.iter().any(|word| *word != 0);
        let known = locked.have(slot) && slot.range().contains(base);
        // INVARIANT: That was looked at.
        let taken = known.then(|| TakenLog {
            vm: locked.vm(),
            slot,
            pages: Pages::new(base, words),
            any,
        });
        taken.map(Self)
    }

    /// Has `rearm` see to it that the next write to each page is noticed, if there is one. C's caller flushes.
    pub fn rearm(self, rearm: impl FnOnce(&TakenLog<'a>) -> Option<Flushed<'a>>) {
        if self.0.any {
            rearm(&self.0);
        }
    }
}

/// Evidence that the words say what userspace may copy.
#[must_use = "userspace waits for it"]
pub struct Report(());

impl Report {
    /// Leaves it to C's caller to give the words to userspace.
    #[inline(always)]
    pub fn into_caller(self) {}
}
