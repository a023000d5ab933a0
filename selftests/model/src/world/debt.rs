// SPDX-License-Identifier: GPL-2.0

//! Flushes that are owed: what was unmapped and may be in a TLB still.
//!
//! Nothing may be owed when `mmu_lock` is held for write by somebody else: who comes next finds the
//! entry absent, has no reason to flush, and gives the memory away. So whoever holds the lock for
//! write pays before he drops it, to give way as well as at the end, and whoever holds it for read
//! pays before the last reader is gone. Invalid roots owe nothing: no CPU uses them again.

use crate::{
    atomic::plain::{lock, Mutex},
    kvm::GfnRange,
};

/// What a VM owes.
#[derive(Default)]
pub struct Debt(Mutex<Vec<GfnRange>>);

impl Debt {
    /// `range` was unmapped.
    pub fn owe(&self, range: GfnRange) {
        lock(&self.0).push(range);
    }

    /// TLBs were flushed: of all, or of `range`.
    pub fn settle(&self, range: Option<GfnRange>) {
        let mut owed = lock(&self.0);
        match range {
            None => owed.clear(),
            Some(range) => owed.retain(|owed| owed.start < range.start || range.end < owed.end),
        }
    }

    /// Fails if anything is owed.
    pub fn check(&self) {
        let owed = lock(&self.0).clone();
        assert!(owed.is_empty(), "a flush was lost: {owed:?} were unmapped");
    }
}
