// SPDX-License-Identifier: GPL-2.0

//! How loom tries the orders of a scenario.

use kvmrs_model::atomic::{plain::AtomicU64, Arc, Ordering::SeqCst};

/// More choices in one schedule are an endless loop.
const BRANCHES: usize = 20_000;

/// Tries the orders of `scenario` with up to `preemptions` switches away from a thread that could have gone
/// on, unless the environment has another number. Says how many there are.
pub fn explore(name: &str, preemptions: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let count = Arc::new(AtomicU64::new(0));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.max_branches = BRANCHES;
    builder.check({
        let count = count.clone();
        move || {
            count.fetch_add(1, SeqCst);
            scenario();
        }
    });
    println!("model: loom, {name}: {} interleavings", count.load(SeqCst));
}
