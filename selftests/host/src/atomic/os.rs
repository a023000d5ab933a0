// SPDX-License-Identifier: GPL-2.0

//! The machine's own threads, which run as they like.

use std::time::Duration;
pub use std::{
    sync::{
        atomic::{AtomicBool, AtomicI32, AtomicU64},
        Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    },
    thread,
    thread::yield_now,
    thread_local,
};

/// The memory of a page-table entry.
pub type Word = AtomicU64;

/// Memory for the entry at an index of its table.
pub fn word(_index: usize, raw: u64) -> Word {
    Word::new(raw)
}

/// Number of tries after which [`retry`] waits: somebody else is busy.
const PATIENCE: u32 = 100;

/// Before the next try of what has failed `attempt` times because others were faster.
pub fn retry(attempt: u32) {
    if attempt > PATIENCE {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Waits about that long.
pub fn pause(microseconds: u64) {
    thread::sleep(Duration::from_micros(microseconds));
}

/// What a thread's random numbers start from: the same in each run, as only schedules differ.
pub fn seed(thread: u64) -> u64 {
    0x9e37_79b9_7f4a_7c15 + thread
}
