// SPDX-License-Identifier: GPL-2.0

//! loom's threads: every order in which they can run, and every value a load may return.

pub use super::watched::{log_word, word, Word};
use super::{plain::AtomicU32 as AtomicU32Plain, Ordering};
pub use loom::{
    sync::{
        atomic::{fence, AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicU8, AtomicUsize},
        Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    },
    thread,
    thread::yield_now,
    thread_local,
};
use std::cell::Cell;

/// Memory that is no atomic. loom fails where two accesses, of which one writes, are in no order.
#[derive(Default)]
pub struct Tracked(std::sync::Mutex<loom::cell::UnsafeCell<()>>);

impl Tracked {
    /// It is read.
    pub fn read(&self) {
        super::plain::lock(&self.0).with(|_| ());
    }

    /// It is written.
    pub fn write(&self) {
        super::plain::lock(&self.0).with_mut(|_| ());
    }
}

/// How often a thread spins before no other order is tried behind that, unless it is 0.
static PATIENCE: AtomicU32Plain = AtomicU32Plain::new(0);

thread_local! {
    static SPINS: Cell<u32> = Cell::new(0);
}

/// Nothing is new where a thread has spun `times` times: the same comes of it if the thread comes there
/// later. Without a limit there is no end of orders where two threads spin.
pub fn limit_spins(times: u32) {
    PATIENCE.store(times, Ordering::SeqCst);
}

/// In a loop that waits for another thread.
pub fn spin() {
    let spins = SPINS.with(|spins| {
        spins.set(spins.get() + 1);
        spins.get()
    });
    if spins == PATIENCE.load(Ordering::SeqCst) {
        loom::skip_branch();
    }
    yield_now();
}

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
