// SPDX-License-Identifier: GPL-2.0

//! A fault against invalidations, as far as the record of them goes, in every order that loom finds.
//!
//! The host's page table is one word, the number of the page that a frame has. A fault remembers C's
//! count, looks the page up, and maps it under the lock if the record says that it is current. What is
//! mapped in the end is what the host has, whatever happened in between.

#[path = "common/explore.rs"]
mod common;

use kvmrs_model::{
    atomic::{
        plain, thread, Arc, AtomicU64,
        Ordering::{Acquire, Release, SeqCst},
        PoisonError, RwLock,
    },
    kvm::{memory::Invalidations, Gfn, GfnRange, MemSlot},
    mm::HostRange,
};

/// Switches away from a thread that could have gone on.
const PREEMPTIONS: usize = 3;
/// A count that no longer fits in 32 bits soon.
const START: u64 = (1 << 32) - 2;
/// Nothing is mapped.
const NOTHING: u64 = 0;
/// How many invalidations have places in the record.
const PLACES: u64 = 8;

fn explore(name: &str, scenario: fn()) {
    common::explore(name, PREEMPTIONS, scenario);
}

fn frames(start: u64, count: u64) -> GfnRange {
    GfnRange::sized(Gfn::new(start), count)
}

fn host(start: u64, count: u64) -> HostRange {
    MemSlot::host_range_of(frames(start, count))
}

/// A VM with one frame, 0, and the host's page for it.
struct World {
    lock: RwLock<()>,
    record: Invalidations,
    seq: AtomicU64,
    page: AtomicU64,
    mapped: plain::AtomicU64,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            lock: RwLock::new(()),
            record: Invalidations::new(),
            seq: AtomicU64::new(START),
            page: AtomicU64::new(1),
            mapped: plain::AtomicU64::new(NOTHING),
        })
    }

    /// The host begins to change `count` frames from `start` on: those that are mapped no longer are.
    fn start(&self, start: u64, count: u64) {
        let _lock = self.lock.write().unwrap_or_else(PoisonError::into_inner);
        self.record.begin(host(start, count), frames(start, count));
        if start == 0 {
            self.mapped.store(NOTHING, SeqCst);
        }
    }

    /// The host has changed them.
    fn end(&self, start: u64, count: u64) {
        let _lock = self.lock.write().unwrap_or_else(PoisonError::into_inner);
        let taken = self.record.take(host(start, count)).expect("it has begun");
        let seq = self.seq.load(Acquire).wrapping_add(1);
        self.seq.store(seq, Release);
        self.record.note_end(seq, taken);
    }

    /// The frame gets another page.
    fn moves(&self) {
        self.start(0, 1);
        self.page.store(self.page.load(SeqCst) + 1, SeqCst);
        self.end(0, 1);
    }

    /// Something else happens.
    fn elsewhere(&self) {
        self.start(5, 1);
        self.end(5, 1);
    }

    /// Maps the frame, unless what was looked up may be stale. Says whether it did.
    fn fault(&self) -> bool {
        let snapshot = self.seq.load(Acquire);
        let page = self.page.load(SeqCst);
        let _lock = self.lock.read().unwrap_or_else(PoisonError::into_inner);
        let (now, range) = (self.seq.load(Acquire), frames(0, 1));
        if self.record.is_active(range) || self.record.has_ended(snapshot, now, range) {
            return false;
        }
        self.mapped.store(page, SeqCst);
        true
    }

    /// What is mapped is what the host has.
    fn check(&self) {
        let (mapped, page) = (self.mapped.load(SeqCst), self.page.load(SeqCst));
        assert!(mapped == NOTHING || mapped == page, "{mapped}, not {page}");
        assert_eq!(self.record.count(), 0);
    }
}

/// Runs these at the same time.
fn together(world: &Arc<World>, tasks: &[fn(&World)]) {
    let spawn = |task: &fn(&World)| {
        let (world, task) = (world.clone(), *task);
        thread::spawn(move || task(&world))
    };
    let threads: Vec<_> = tasks.iter().map(spawn).collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
}

#[test]
fn fault_and_invalidation() {
    explore("record, fault and invalidation", || {
        let world = World::new();
        together(&world, &[|world| drop(world.fault()), World::moves]);
        world.check();
    });
}

/// The fault is never put off by what happens elsewhere.
#[test]
fn fault_and_invalidation_elsewhere() {
    explore("record, fault and invalidation elsewhere", || {
        let world = World::new();
        let fault: fn(&World) = |world| assert!(world.fault(), "nothing of its own happened");
        together(&world, &[fault, World::elsewhere]);
        world.check();
    });
}

#[test]
fn fault_and_two_invalidations() {
    explore("record, fault and two invalidations", || {
        let world = World::new();
        let fault: fn(&World) = |world| drop(world.fault());
        together(&world, &[fault, World::moves, World::elsewhere]);
        world.check();
    });
}

/// Every place is taken when the frame's own invalidation begins.
#[test]
fn fault_and_overflow() {
    explore("record, fault and overflow", || {
        let world = World::new();
        for number in 0..PLACES {
            world.start(10 + number, 1);
        }
        together(&world, &[|world| drop(world.fault()), World::moves]);
        for number in 0..PLACES {
            world.end(10 + number, 1);
        }
        world.check();
    });
}
