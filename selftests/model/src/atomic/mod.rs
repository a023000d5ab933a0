// SPDX-License-Identifier: GPL-2.0

//! Where atomics, locks and threads come from: the one place that a model checker replaces.
//!
//! What decides about races of the TDP MMU is *checked*: a model checker chooses who goes on at
//! each of its operations. What the model keeps its books in is [`plain`]: always the standard
//! library's, so that the checker spends no choice on it. A plain lock must never be held across a
//! checked operation: another thread could run there and wait for it for ever.

#[cfg(not(any(feature = "loom", feature = "shuttle")))]
#[path = "os.rs"]
mod checked;
#[cfg(feature = "loom")]
#[path = "loom.rs"]
mod checked;
#[cfg(all(feature = "shuttle", not(feature = "loom")))]
#[path = "shuttle.rs"]
mod checked;
#[cfg(any(feature = "loom", feature = "shuttle"))]
mod watched;

pub use checked::*;
pub use std::sync::{atomic::Ordering, Arc, OnceLock, PoisonError};

/// What no model checker has a say in.
pub mod plain {
    pub use std::sync::{
        atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicU8},
        Mutex, MutexGuard, PoisonError,
    };

    /// Locks, and does not mind a test that failed while it held the lock: one report is enough.
    pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What comes with every operation of the kernel's that returns what it has replaced. Here a load behind
/// it may otherwise return what was there before: `SeqCst` orders nothing but `SeqCst`, and in loom not
/// even that.
#[inline(always)]
pub fn full_barrier() {
    fence(Ordering::SeqCst);
}

/// As [`plain::lock`], for a checked lock.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
