// SPDX-License-Identifier: GPL-2.0

//! A vCPU that events can be sent to.

use crate::{
    atomic::{
        full_barrier, plain, Arc, AtomicI32, AtomicU64,
        Ordering::{self, AcqRel, Relaxed, SeqCst},
    },
    kvm::{
        gpc::Gpc,
        memory::Counter,
        xen::{Layout, Timer, Word},
        Vm,
    },
    sync::Full,
};

/// What a vCPU polls for. A load may return what was there before: nobody waits for this word.
pub struct PollWord(AtomicI32);

impl PollWord {
    /// As of an atomic.
    pub fn load(&self, order: Ordering) -> i32 {
        self.0.load(order)
    }

    /// As of an atomic.
    pub fn store(&self, value: i32, order: Ordering) {
        self.0.store(value, order);
    }

    /// As of an atomic, with a full barrier.
    pub(crate) fn xchg(&self, value: i32, _: Full) -> i32 {
        let old = self.0.swap(value, AcqRel);
        full_barrier();
        old
    }

    /// As of an atomic.
    pub fn cmpxchg(&self, old: i32, new: i32, order: Ordering) -> Result<i32, i32> {
        self.0.compare_exchange(old, new, order, Relaxed)
    }
}

/// A vCPU.
pub struct Target {
    /// The cache of the guest's `shared_info`.
    pub shared: Arc<Gpc>,
    timer: Timer,
    compat: plain::AtomicBool,
    info: Arc<Gpc>,
    owed: AtomicU64,
    poll_word: PollWord,
    vector: Option<u8>,
    /// Its task is about to sleep, and must not do so elsewhere.
    pub falls_asleep: plain::AtomicBool,
    /// How many times it was woken.
    pub wakes: Counter,
    /// How many times it was interrupted.
    pub interrupts: Counter,
}

impl Target {
    /// One of `vm`, which is told of events by `vector` if it has one.
    pub fn new(vm: &Arc<Vm>, vector: Option<u8>) -> Self {
        Self {
            shared: Gpc::new(vm),
            timer: Timer::new(0),
            compat: plain::AtomicBool::new(false),
            info: Gpc::new(vm),
            owed: AtomicU64::new(0),
            poll_word: PollWord(AtomicI32::new(0)),
            vector,
            falls_asleep: plain::AtomicBool::new(false),
            wakes: Counter::default(),
            interrupts: Counter::default(),
        }
    }

    /// The cache of the guest's `shared_info`.
    pub fn shared_info(&self) -> &Gpc {
        &self.shared
    }

    /// Its timer.
    pub fn timer(&self) -> &Timer {
        &self.timer
    }

    /// The guest is of this width from now on.
    pub fn set_layout(&self, layout: Layout) {
        self.compat.store(layout == Layout::Compat, SeqCst);
    }

    /// The guest's width.
    pub fn layout(&self) -> Layout {
        match self.compat.load(SeqCst) {
            true => Layout::Compat,
            false => Layout::Native,
        }
    }

    /// The cache of its `vcpu_info`.
    pub fn vcpu_info(&self) -> &Gpc {
        &self.info
    }

    /// Notes that `word` is to be written to its `vcpu_info`. Returns whether that is new.
    pub fn owe(&self, word: Word) -> bool {
        let bit = 1 << word.index();
        let old = self.owed.fetch_or(bit, AcqRel);
        full_barrier();
        old & bit == 0
    }

    /// What was noted.
    pub fn owed(&self) -> u64 {
        self.owed.fetch_or(0, AcqRel)
    }

    /// These words are no longer to be written.
    pub fn forget_owed(&self, words: u64) {
        self.owed.fetch_and(!words, AcqRel);
        full_barrier();
    }

    /// What it polls for.
    pub fn poll_word(&self) -> &PollWord {
        &self.poll_word
    }

    /// The vector that tells it of events.
    pub fn upcall_vector(&self) -> Option<u8> {
        self.vector
    }

    /// Whether the current task may sleep.
    pub fn may_sleep(&self) -> bool {
        !self.falls_asleep.load(SeqCst)
    }

    /// Interrupts it.
    pub fn interrupt(&self, _vector: u8) {
        self.interrupts.add(1);
    }

    /// It goes on, if it sleeps.
    pub fn wake(&self) {
        self.wakes.add(1);
    }
}
