// SPDX-License-Identifier: GPL-2.0

//! Where atomics and locks come from: the one place that a model checker has to replace.

pub use std::sync::{
    atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU32, AtomicU64, AtomicU8, Ordering},
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
pub use std::thread::yield_now;

/// Locks, and does not mind a test that failed while it held the lock: one report is enough.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
