// SPDX-License-Identifier: GPL-2.0

//! The model's `rust/sync`.
//!
//! Of atomics and barriers it has what the shared files use, under the names of the kernel crate.

pub mod rcu;
#[path = "../../../../rust/sync/seqcount.rs"]
pub mod seqcount;

pub use rcu::Rcu;

pub(crate) use crate::atomic::Ordering::{Acquire, Relaxed};

use crate::atomic::{fence, AtomicU32, AtomicU64};

/// The kernel crate's: an atomic of a type that has one.
pub type Atomic<T> = <T as AtomicType>::Atomic;

/// Which atomic a type has.
pub trait AtomicType {
    /// This one.
    type Atomic;
}

impl AtomicType for u32 {
    type Atomic = AtomicU32;
}

impl AtomicType for u64 {
    type Atomic = AtomicU64;
}

/// Asks for a barrier between loads.
pub(crate) struct Read;

/// The kernel crate's: loads before it stay before loads after it.
pub(crate) fn smp_mb(_: Read) {
    fence(Acquire);
}

/// Lets whoever is waited for run.
pub fn cpu_relax() {
    crate::atomic::yield_now();
}
