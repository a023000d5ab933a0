// SPDX-License-Identifier: GPL-2.0

//! When walks are asked to give way, and what others do meanwhile, or while a fault goes on.

use crate::atomic::{
    plain::{lock, AtomicU64, Mutex},
    Ordering::SeqCst,
};

/// What others do meanwhile, whenever it comes to that.
#[derive(Default)]
pub struct Hook(Mutex<Option<Box<dyn FnMut() + Send>>>);

impl Hook {
    /// It is `hook` from now on.
    pub fn set(&self, hook: impl FnMut() + Send + 'static) {
        *lock(&self.0) = Some(Box::new(hook));
    }

    /// It comes to that. What the hook does may lead here too, and does not start it again.
    pub(crate) fn run(&self) {
        let hook = lock(&self.0).take();
        if let Some(mut run) = hook {
            run();
            lock(&self.0).get_or_insert(run);
        }
    }
}

/// A pattern of 64 answers, which repeats.
#[derive(Default)]
pub struct Breaks {
    pattern: AtomicU64,
    asked: AtomicU64,
    given: AtomicU64,
    hook: Hook,
}

/// Never.
pub const NEVER: u64 = 0;
/// Whenever a walk asks: at every entry.
pub const ALWAYS: u64 = u64::MAX;

impl Breaks {
    /// Answers with the bits of `pattern` from now on.
    pub fn set(&self, pattern: u64) {
        self.pattern.store(pattern, SeqCst);
    }

    /// Calls `hook` whenever a walk has given way, while it does not hold the lock.
    pub fn set_hook(&self, hook: impl FnMut() + Send + 'static) {
        self.hook.set(hook);
    }

    /// How many times walks gave way.
    pub fn given(&self) -> u64 {
        self.given.load(SeqCst)
    }

    pub(crate) fn wanted(&self) -> bool {
        let turn = self.asked.fetch_add(1, SeqCst) % 64;
        self.pattern.load(SeqCst) >> turn & 1 != 0
    }

    pub(crate) fn gave_way(&self) {
        self.given.fetch_add(1, SeqCst);
    }

    /// Calls the hook now.
    pub(crate) fn run_hook(&self) {
        self.hook.run();
    }
}
