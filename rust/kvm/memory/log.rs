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
    flushed::Flushed,
    memslot::MemSlot,
    raw::Vm,
    slots::SlotsLocked, //
};
use crate::kvm::types::{
    Gfn,
    GfnRange, //
};
use core::iter;

/// Bits of a word of the log.
const WORD: u64 = u64::BITS as u64;
/// Words that are looked at together.
const TOGETHER: usize = 8;
/// Words that are passed at once if all are empty. Under a lock, whoever goes through them looks then if others wait.
const EMPTY: usize = 512;

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
        let (locked, slot, first, words) = (self.locked, self.slot, self.first, self.words);
        let base = slot.range().start.add(first as u64 * WORD);
        let words = match locked.have(slot) {
            true => {
                locked.take_from_log(slot, first, words, self.all);
                &*words
            }
            false => {
                locked.vm().bug();
                &[]
            }
        };
        // INVARIANT: If there are any words, the slot is one of the VM's.
        TakenLog(Part {
            vm: locked.vm(),
            slot,
            base,
            words,
        })
    }
}

/// Pages of a slot's, by a bit for each, whose next write has to be noticed again.
///
/// # Invariants
///
/// If there are any, the slot is one of the VM's, whose `slots_lock` the task holds.
pub struct Part<'a> {
    vm: &'a Vm,
    slot: &'a MemSlot,
    /// The page of the first bit.
    base: Gfn,
    words: &'a [u64],
}

impl<'a> Part<'a> {
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

    /// The page of bit 0 of a word.
    fn at(&self, index: usize) -> Gfn {
        self.base.add((index as u64).wrapping_mul(WORD))
    }

    /// Frames among which all pages are.
    pub fn range(&self) -> GfnRange {
        let end = self.at(self.words.len());
        GfnRange::new(self.base, end.min(self.slot.range().end))
    }

    /// The next pages from `gfn` on: those of one word, by a bit for each, and the page of bit 0. None are set if none
    /// are left, or after many empty words, of which that is the last one. `gfn` must not lie before all of them.
    #[inline]
    pub fn next(&self, gfn: Gfn) -> (Gfn, u64) {
        let passed = gfn.offset_from(self.base);
        let (index, bit) = ((passed / WORD) as usize, passed % WORD);
        let rest = self.words.get(index).map_or(0, |word| word >> bit);
        if rest != 0 {
            return (gfn, rest);
        }
        let (next, word) = self.look_from(index + 1);
        (self.at(next), word)
    }

    /// The first word from word `index` on that is not empty, and where it is. If many are empty, the last of them.
    #[inline(always)]
    fn look_from(&self, index: usize) -> (usize, u64) {
        let end = self.words.len().min(index.saturating_add(EMPTY));
        let looked = self.words.get(..end).unwrap_or(&[]);
        let next = first_from(looked, index);
        match looked.get(next) {
            Some(word) => (next, *word),
            None => (next.wrapping_sub(1), 0),
        }
    }

    /// The pages by words of 64: the page of bit 0, and the bits. Of many empty words it has one, others are left out.
    pub fn words(&self) -> impl Iterator<Item = (Gfn, u64)> + '_ {
        let mut left = 0;
        iter::from_fn(move || {
            let more = left < self.words.len();
            more.then(|| {
                let (index, word) = self.look_from(left);
                left = index + 1;
                (self.at(index), word)
            })
        })
    }

    /// Those from the first page on. `None` if there is no page.
    fn without_empty(self) -> Option<Self> {
        let empty = first_from(self.words, 0);
        let words = self.words.get(empty..)?;
        let base = self.at(empty);
        (!words.is_empty()).then_some(Self {
            base,
            words,
            ..self
        })
    }
}

/// Where from `index` on the first word is that is not empty, or the end. Most words are empty, so it looks at several at
/// once.
#[inline(always)]
fn first_from(words: &[u64], index: usize) -> usize {
    let Some(mut left) = words.get(index..) else {
        return index;
    };
    // How many are left is all that it counts: each dirty page has some rows of empty words before it.
    while let Some((row, behind)) = left.split_first_chunk::<TOGETHER>() {
        if !are_empty(row) {
            return words.len() - left.len() + first_in(row);
        }
        left = behind;
    }
    first_of_few(words, words.len() - left.len())
}

/// As above, at the end of the words. Out of the way of rows.
#[cold]
#[inline(never)]
fn first_of_few(words: &[u64], mut index: usize) -> usize {
    while words.get(index) == Some(&0) {
        index += 1;
    }
    index
}

/// Where the first word is that is not empty, in a row in which there is one. It looks at half of what is left each time.
#[inline(always)]
fn first_in(row: &[u64; TOGETHER]) -> usize {
    let half_is_empty = |at: usize, half: usize| row.get(at..at + half).is_some_and(are_empty);
    // Not a loop: the compiler keeps it, which costs each dirty page some 110 instructions more.
    let at = 4 * usize::from(half_is_empty(0, 4));
    let at = at + 2 * usize::from(half_is_empty(at, 2));
    at + usize::from(half_is_empty(at, 1))
}

#[inline(always)]
fn are_empty(words: &[u64]) -> bool {
    words.iter().fold(0, |all, word| all | word) == 0
}

/// Dirty pages that were taken out of a slot's log. From now on their writes have to be noticed again.
#[must_use = "writes to these pages are no longer in the log"]
pub struct TakenLog<'a>(Part<'a>);

impl<'a> TakenLog<'a> {
    /// Has `rearm` see to it that the next write to each page is noticed, if there is a page. It returns what it has
    /// flushed after the last one, if anything.
    pub fn rearm(self, rearm: impl FnOnce(&Part<'a>) -> Option<Flushed<'a>>) -> Rearmed<'a> {
        let (vm, slot) = (self.0.vm, self.0.slot);
        let owed = self.0.without_empty().is_some_and(|part| {
            let flushed = rearm(&part);
            !flushed.is_some_and(|flushed| flushed.covers(vm, slot))
        });
        Rearmed { vm, slot, owed }
    }
}

/// Dirty pages of which CPUs may have stale translations, by which a write goes unnoticed.
#[must_use = "CPUs may still write to these pages unnoticed"]
pub struct Rearmed<'a> {
    vm: &'a Vm,
    slot: &'a MemSlot,
    owed: bool,
}

impl Rearmed<'_> {
    /// Flushes the slot from all TLBs, if there is a dirty page and that was not done yet.
    pub fn flush(self) -> Report {
        if self.owed {
            self.vm.flush_remote_tlbs_slot(self.slot);
        }
        Report(())
    }
}

/// Pages that were in a dirty ring, where each comes once it is writable.
#[must_use = "writes to these pages are no longer in the ring"]
pub struct RingPages<'a>(Part<'a>);

impl<'a> RingPages<'a> {
    /// Those that are set in `words`, from `base` on. `None` if `base` is not in the slot, or that is not one of the
    /// VM's.
    pub fn new(
        locked: &SlotsLocked<'a>,
        slot: &'a MemSlot,
        base: Gfn,
        words: &'a [u64],
    ) -> Option<Self> {
        let known = locked.have(slot) && slot.range().contains(base);
        // INVARIANT: That was looked at.
        let pages = known.then(|| Part {
            vm: locked.vm(),
            slot,
            base,
            words,
        });
        pages.map(Self)
    }

    /// Has `rearm` see to it that the next write to each page is noticed, as for a log. C's caller flushes.
    ///
    /// Not for a slot that is not logged. An entry may be from when it was, or userspace's own, as the ring is mapped
    /// writable. Nobody waits for these writes, and a huge page would be split in vain.
    pub fn rearm(self, rearm: impl FnOnce(&Part<'a>) -> Option<Flushed<'a>>) {
        if !self.0.slot.is_dirty_tracked() {
            return;
        }
        if let Some(part) = self.0.without_empty() {
            rearm(&part);
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
