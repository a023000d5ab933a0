// SPDX-License-Identifier: GPL-2.0

//! When walks are asked to give way, and what others do meanwhile.

use crate::atomic::{
    plain::{lock, AtomicU64, Mutex},
    Ordering::SeqCst,
};

/// A pattern of 64 answers, which repeats.
pub struct Breaks {
    pattern: AtomicU64,
    asked: AtomicU64,
    given: AtomicU64,
    hook: Mutex<Option<Box<dyn FnMut() + Send>>>,
}

/// Never.
pub const NEVER: u64 = 0;
/// Whenever a walk asks: at every entry.
pub const ALWAYS: u64 = u64::MAX;

impl Default for Breaks {
    fn default() -> Self {
        Self {
            pattern: AtomicU64::new(NEVER),
            asked: AtomicU64::new(0),
            given: AtomicU64::new(0),
            hook: Mutex::default(),
        }
    }
}

impl Breaks {
    /// Answers with the bits of `pattern` from now on.
    pub fn set(&self, pattern: u64) {
        self.pattern.store(pattern, SeqCst);
    }

    /// Calls `hook` whenever a walk has given way, while it does not hold the lock.
    pub fn set_hook(&self, hook: impl FnMut() + Send + 'static) {
        *lock(&self.hook) = Some(Box::new(hook));
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
        // What the hook does may give way too, but does not start the hook again.
        let hook = lock(&self.hook).take();
        if let Some(mut run) = hook {
            run();
            lock(&self.hook).get_or_insert(run);
        }
    }
}
