// SPDX-License-Identifier: GPL-2.0

//! The machine's own threads, which run as they like.

use std::{cell::Cell, time::Duration};
pub use std::{
    sync::{
        atomic::{fence, AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicU8, AtomicUsize},
        Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    },
    thread, thread_local,
};

/// The memory of a page-table entry.
pub type Word = AtomicU64;

/// Memory for the entry at an index of its table.
pub fn word(_index: usize, raw: u64) -> Word {
    Word::new(raw)
}

/// Memory for a word of a dirty log.
pub fn log_word(_first: u64, raw: u64) -> Word {
    Word::new(raw)
}

/// Number of times that a thread goes on for each time that it lets others run.
const STAMINA: u32 = 16;

/// Memory that is no atomic, of which only loom looks at each access.
#[derive(Default)]
pub struct Tracked(());

impl Tracked {
    /// It is read.
    pub fn read(&self) {}

    /// It is written.
    pub fn write(&self) {}
}

/// Lets others run, now and then: on a busy machine it is long before they let this one go on.
pub fn yield_now() {
    YIELDS.set(YIELDS.get().wrapping_add(1));
    if YIELDS.get() % STAMINA == 0 {
        thread::yield_now();
    }
}

/// In a loop that waits for another thread.
pub fn spin() {
    yield_now();
}

/// Number of accesses to entries after which a section counts as one that never ends: far more than
/// there are entries.
const ENDLESS: u32 = 1 << 24;

thread_local! {
    static ACCESSES: Cell<u32> = const { Cell::new(0) };
    static YIELDS: Cell<u32> = const { Cell::new(0) };
    static LAST: Cell<usize> = const { Cell::new(0) };
}

/// The thread begins a read-side section of RCU.
pub fn begin_section() {
    ACCESSES.set(0);
}

/// The entry that the thread accessed last.
pub fn last_access() -> Option<usize> {
    Some(LAST.get())
}

/// It accesses the entry at `address`.
pub fn access_in_section(address: usize) {
    LAST.set(address);
    let accesses = ACCESSES.get() + 1;
    ACCESSES.set(accesses);
    assert!(accesses < ENDLESS, "a walk makes no progress");
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
