// SPDX-License-Identifier: GPL-2.0

//! What a Xen guest shares with its host, while both use it, in every order that loom finds.
//!
//! No order may lose an event, wake nobody who polls for one, or show the guest times that do not belong
//! together.

mod events;
mod poll;
mod timer;
mod times;
mod world;

use kvmrs_model::atomic::{limit_spins, plain, Arc, Ordering::SeqCst};

const BRANCHES: usize = 20_000;
const SPINS: u32 = 3;
const STACK: usize = 1 << 18;

/// Tries the orders of `scenario` with up to `preemptions` switches.
fn explore(name: &str, preemptions: usize, scenario: fn()) {
    let count = Arc::new(plain::AtomicU64::new(0));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.max_branches = BRANCHES;
    limit_spins(SPINS);
    builder.check({
        let count = count.clone();
        move || {
            count.fetch_add(1, SeqCst);
            scenario();
        }
    });
    println!("model: loom, {name}: {} interleavings", count.load(SeqCst));
}
