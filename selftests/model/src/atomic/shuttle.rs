// SPDX-License-Identifier: GPL-2.0

//! shuttle's threads: one runs at a time, and a scheduler chooses which.

pub use super::watched::{log_word, word, Word};
use shuttle::rand::RngCore;
pub use shuttle::{
    sync::{
        atomic::{fence, AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicU8, AtomicUsize},
        Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    },
    thread,
    thread::yield_now,
    thread_local,
};

/// Memory that is no atomic, of which only loom looks at each access.
#[derive(Default)]
pub struct Tracked(());

impl Tracked {
    /// It is read.
    pub fn read(&self) {}

    /// It is written.
    pub fn write(&self) {}
}

/// In a loop that waits for another thread.
pub fn spin() {
    yield_now();
}

/// Before the next try of what has failed because others were faster.
pub fn retry(_attempt: u32) {
    yield_now();
}

/// Lets others go first.
pub fn pause(_microseconds: u64) {
    yield_now();
}

/// What a thread's random numbers start from: part of the schedule, so that a replay has them too.
pub fn seed(_thread: u64) -> u64 {
    shuttle::rand::thread_rng().next_u64() | 1
}

/// Nothing to count from: a schedule has a number of steps.
pub fn begin_section() {}

/// As above.
pub fn access_in_section(_address: usize) {}

/// As above.
pub fn last_access() -> Option<usize> {
    None
}
