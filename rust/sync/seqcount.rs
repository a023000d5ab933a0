// SPDX-License-Identifier: GPL-2.0

//! Sequence counts: data that is read without a lock, and read again if it was changed meanwhile.
//!
//! A writer makes the count odd, changes the data, and makes the count even. It has a lock of its
//! own, so there is one at a time, and it does not wait for readers. A reader copies the data while
//! the count is even, and believes its copy if the count is the same afterwards.
//!
//! This is the reader, for counts of C's whose writers cannot be preempted (those of
//! `seqcount_raw_spinlock_t`): elsewhere a reader of higher priority could wait for ever.
//!
//! C header: [`include/linux/seqlock.h`](srctree/include/linux/seqlock.h)

#![forbid(unsafe_code)]

use super::{cpu_relax, smp_mb, Acquire, Atomic, Read, Relaxed};

/// Data and the count of its changes.
///
/// `T` consists of atomics: other data cannot change while it is shared. C's fields become atomics
/// by `Atomic::from_ptr()`.
pub struct SeqCounted<'a, T> {
    count: &'a Atomic<u32>,
    data: &'a T,
}

impl<'a, T> SeqCounted<'a, T> {
    /// Says that writers of `data` count in `count`.
    #[inline(always)]
    pub fn new(count: &'a Atomic<u32>, data: &'a T) -> Self {
        Self { count, data }
    }

    /// What `copy` makes of data of one and the same moment
    /// (`read_seqcount_begin()`, `read_seqcount_retry()`).
    ///
    /// `copy` loads with `Relaxed`. It may run several times and see data that never belonged
    /// together; then what it returns is dropped. It cannot return a reference into the data.
    #[inline]
    pub fn read<R>(&self, copy: impl Fn(&T) -> R) -> R {
        loop {
            let count = self.begin();
            let copied = copy(self.data);
            // The count is loaded again when all of the data has been.
            smp_mb(Read);
            if self.count.load(Relaxed) == count {
                return copied;
            }
        }
    }

    /// Waits until no writer is at work.
    #[inline(always)]
    fn begin(&self) -> u32 {
        loop {
            let count = self.count.load(Acquire);
            if count & 1 == 0 {
                return count;
            }
            cpu_relax();
        }
    }
}
