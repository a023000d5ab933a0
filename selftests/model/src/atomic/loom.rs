// SPDX-License-Identifier: GPL-2.0

//! loom's threads: every order in which they can run, and every value a load may return.

pub use super::watched::{word, Word};
pub use loom::{
    sync::{
        atomic::{fence, AtomicBool, AtomicI32, AtomicU32, AtomicU64},
        Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    },
    thread,
    thread::yield_now,
    thread_local,
};

/// Before the next try of what has failed because others were faster: they are to go on first.
pub fn retry(_attempt: u32) {
    yield_now();
}

/// Nothing to count from: a schedule has a number of choices.
pub fn begin_section() {}

/// As above.
pub fn access_in_section(_address: usize) {}

/// As above.
pub fn last_access() -> Option<usize> {
    None
}
