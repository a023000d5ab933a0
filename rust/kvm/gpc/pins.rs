// SPDX-License-Identifier: GPL-2.0

//! The word at which readers and writers of a pfn cache meet.
//!
//! It counts the readers that have the page pinned, and has two flags: the cache is valid, or it is
//! about to be. A reader adds itself, and the same step tells it whether the cache is valid. So it
//! either is counted before the flag goes, or sees that the flag is gone: there is nothing in between
//! that a barrier would have to order. Readers never wait, whoever they interrupt.
//!
//! | step | by | what it does |
//! |---|---|---|
//! | [`pin`](Pins::pin) | anybody | adds one if the cache is valid |
//! | [`unpin`](Pins::unpin) | who has pinned | subtracts it |
//! | [`look`](Pins::look) | who holds `refresh_lock` | not valid, about to be; waits for all pins |
//! | [`publish`](Pins::publish) | who holds `refresh_lock` | valid, if still about to be |
//! | [`invalidate`](Pins::invalidate) | the notifier, and who holds `refresh_lock` | neither; waits for all pins |
//!
//! Where no page is found the cache stays about to be valid, until the next step. Nobody publishes then, as
//! that takes a page.
//!
//! To wait is to spin. A reader has the page for a few stores, and cannot be preempted meanwhile.
//!
//! The model compiles this file as it is.

#![forbid(unsafe_code)]

use crate::sync::{
    cpu_relax,
    Acquire,
    Atomic,
    Relaxed,
    Release, //
};

/// What is cached may be used.
const VALID: i32 = 1 << 30;
/// It is being looked up, and may be used soon.
const LOOKING: i32 = 1 << 29;
/// Those bits that count.
const COUNT: i32 = LOOKING - 1;

/// The word of one cache.
///
/// # Invariants
///
/// The count is that of readers between `pin()` and `unpin()`, and of those that find out that they
/// came in vain.
pub(in crate::kvm::gpc) struct Pins<'a>(&'a Atomic<i32>);

impl<'a> Pins<'a> {
    /// The word in its memory.
    #[inline(always)]
    pub(in crate::kvm::gpc) fn new(word: &'a Atomic<i32>) -> Self {
        Self(word)
    }

    /// Whether the cache is valid, which may be over by now.
    #[inline(always)]
    pub(in crate::kvm::gpc) fn is_valid(&self) -> bool {
        self.0.load(Relaxed) & VALID != 0
    }

    /// Pins the page, if the cache is valid. Until [`unpin`](Self::unpin) nothing changes that a
    /// reader looks at.
    #[inline(always)]
    pub(in crate::kvm::gpc) fn pin(&self) -> bool {
        // Two locked operations less where there is nothing to be had.
        if !self.is_valid() {
            return false;
        }
        if self.0.fetch_add(1, Acquire) & VALID != 0 {
            return true;
        }
        self.unpin();
        false
    }

    /// Ends a pin.
    #[inline(always)]
    pub(in crate::kvm::gpc) fn unpin(&self) {
        self.0.fetch_sub(1, Release);
    }

    /// The page is about to be looked up. Returns whether the cache was valid: nobody has taken that
    /// page away.
    pub(in crate::kvm::gpc) fn look(&self) -> bool {
        let old = self.replace_flags(LOOKING);
        self.drain();
        old & VALID != 0
    }

    /// What was looked up may be used, unless it was taken away meanwhile. Returns whether it may.
    pub(in crate::kvm::gpc) fn publish(&self) -> bool {
        let mut old = self.0.load(Relaxed);
        while old & LOOKING != 0 {
            match self.0.cmpxchg(old, old & COUNT | VALID, Release) {
                Ok(_) => return true,
                Err(now) => old = now,
            }
        }
        false
    }

    /// The page is taken away, also from who is looking it up. Nobody uses it any more on return.
    ///
    /// Also where the cache is not valid, as readers from before may still be there.
    pub(in crate::kvm::gpc) fn invalidate(&self) {
        self.replace_flags(0);
        self.drain();
    }

    /// Returns what was there before.
    fn replace_flags(&self, flags: i32) -> i32 {
        let mut old = self.0.load(Relaxed);
        loop {
            match self.0.cmpxchg(old, old & COUNT | flags, Acquire) {
                Ok(_) => return old,
                Err(now) => old = now,
            }
        }
    }

    /// Waits until nobody has the page pinned.
    fn drain(&self) {
        while self.0.load(Acquire) & COUNT != 0 {
            cpu_relax();
        }
    }
}
