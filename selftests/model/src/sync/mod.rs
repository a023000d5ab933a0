// SPDX-License-Identifier: GPL-2.0

//! The model's `rust/sync`.
//!
//! Of atomics and barriers it has what the shared files use, under the names of the kernel crate.

pub mod preempt;
pub mod rcu;

pub use rcu::Rcu;

pub(crate) use crate::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::atomic::{fence, AtomicI32, AtomicU32, AtomicU64, Ordering};

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

impl AtomicType for i32 {
    type Atomic = Number;
}

/// An atomic number, with the operations that the kernel crate has and C11 does not.
pub struct Number(AtomicI32);

impl Number {
    /// As of an atomic.
    pub fn new(value: i32) -> Self {
        Self(AtomicI32::new(value))
    }

    /// As of an atomic, but what comes last: who waits for a number would otherwise get one from before
    /// again and again in loom.
    pub fn load(&self, order: Ordering) -> i32 {
        self.0.fetch_add(0, order)
    }

    /// As of an atomic.
    pub fn store(&self, value: i32, order: Ordering) {
        self.0.store(value, order);
    }

    /// As of an atomic.
    pub fn fetch_add(&self, value: i32, order: Ordering) -> i32 {
        self.0.fetch_add(value, order)
    }

    /// As of an atomic.
    pub fn fetch_sub(&self, value: i32, order: Ordering) -> i32 {
        self.0.fetch_sub(value, order)
    }

    /// The kernel's orders nothing if it fails.
    pub fn cmpxchg(&self, old: i32, new: i32, order: Ordering) -> Result<i32, i32> {
        self.0.compare_exchange(old, new, order, Relaxed)
    }
}

/// Asks for a full barrier.
pub(crate) struct Full;

/// Asks for a barrier between loads.
pub(crate) struct Read;

/// Asks for a barrier between stores.
pub(crate) struct Write;

/// Which barrier is asked for.
pub(crate) trait Barrier {
    /// What it has to order at least.
    const ORDER: Ordering;
}

impl Barrier for Read {
    const ORDER: Ordering = Acquire;
}

impl Barrier for Write {
    const ORDER: Ordering = Release;
}

/// The kernel crate's: loads, or stores, before it stay before those after it.
pub(crate) fn smp_mb<T: Barrier>(_: T) {
    fence(T::ORDER);
}

/// Lets whoever is waited for run.
pub fn cpu_relax() {
    crate::atomic::spin();
}
