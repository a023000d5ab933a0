// SPDX-License-Identifier: GPL-2.0

//! Which of its addresses the host is changing, whether a slot lies there or not.
//!
//! C counts the changes of a VM that are going on, each of which keeps memory slots as they are. A
//! pfn cache that waited for all of them would wait for ever where the host always changes something.
//! So each has a place here, by its addresses.
//!
//! All of this is under `mn_invalidate_lock`, which both halves of a notifier take anyway. A change has
//! its place *before* any pfn cache is made to forget the memory: that takes an [`Announced`]. A cache
//! that looks its page up does it the other way round. It says so first, and asks here then. So one of
//! the two sees the other.
//!
//! The model compiles this file as it is.

#![forbid(unsafe_code)]

use super::{
    invalidations::Start,
    raw::Vm, //
};
use crate::mm::{
    notifier::Ended,
    HostRange, //
};

/// How many changes have a place. What has none counts as one of everything.
const PLACES: usize = 32;

/// A place that is free. The range of a change is not empty.
const FREE: HostRange = HostRange::new(0, 0);

/// The changes of one VM that are going on.
pub(in crate::kvm::memory) struct Changes {
    places: [HostRange; PLACES],
    /// How many have no place.
    unlisted: usize,
}

impl Changes {
    /// Nothing is going on.
    pub(in crate::kvm::memory) const fn new() -> Self {
        Self {
            places: [FREE; PLACES],
            unlisted: 0,
        }
    }

    fn begin(&mut self, range: HostRange) {
        match self.places.iter_mut().find(|place| **place == FREE) {
            Some(place) => *place = range,
            None => self.unlisted += 1,
        }
    }

    /// Returns whether there was one.
    fn end(&mut self, range: HostRange) -> bool {
        if let Some(place) = self.places.iter_mut().find(|place| **place == range) {
            *place = FREE;
            return true;
        }
        let others = self.unlisted.checked_sub(1);
        self.unlisted = others.unwrap_or(0);
        others.is_some()
    }

    fn concern(&self, range: HostRange) -> bool {
        self.unlisted != 0 || self.places.iter().any(|place| place.overlaps(range))
    }
}

/// A change of the host that has its place. Pfn caches are made to forget the memory with it.
#[must_use = "pfn caches must forget the memory"]
pub struct Announced<'vm> {
    vm: &'vm Vm,
    range: HostRange,
}

impl<'vm> Announced<'vm> {
    /// Whose host it is.
    #[inline(always)]
    pub fn vm(&self) -> &'vm Vm {
        self.vm
    }

    /// What is changed.
    #[inline(always)]
    pub fn range(&self) -> HostRange {
        self.range
    }
}

impl Vm {
    /// The host begins to change `range`. Memory slots stay as they are until it has ended, so that both
    /// halves of a notifier see the same.
    #[inline]
    pub fn begin_change(&self, range: HostRange) -> Announced<'_> {
        let mut lock = self.change_lock();
        lock.count_begin();
        lock.changes().begin(range);
        Announced { vm: self, range }
    }

    /// The change is over, and is counted, with what its end has found of its start. Wakes who waits for
    /// that. An end without a start marks the VM as broken.
    #[inline]
    pub fn end_change(&self, ended: Ended<'_>, start: Start) {
        let mut lock = self.change_lock();
        let known = lock.changes().end(ended.range());
        let others = lock.count_end(start == Start::Elided);
        let unmatched = !known || others.is_none() || start == Start::Missing;
        if unmatched {
            lock.count_unmatched();
        }
        drop(lock);
        self.wake_after_change(others == Some(0));
        if unmatched {
            self.bug();
        }
    }

    /// Whether the host is changing a part of `range`. Then it is how many changes had ended, to
    /// [wait](crate::kvm::gpc::Sleeper::wait_for_end) for the next.
    pub(in crate::kvm) fn is_changing(&self, range: HostRange) -> Option<usize> {
        let mut lock = self.change_lock();
        lock.changes().concern(range).then(|| lock.ended())
    }
}
