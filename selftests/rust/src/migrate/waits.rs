// SPDX-License-Identifier: GPL-2.0

//! How long faults have waited for `mmu_lock` while a host sent the guest: C next to Rust.
//!
//! It is shown, and fails nothing: on a busy machine, a task of the host that holds the lock may not run for any time.

use super::host::{Faults, Way};
use kvmtest::backend::{C, RUST};
use std::collections::BTreeMap;
use std::time::Duration;

/// By the way in which QEMU asks what the guest has written, and the backend.
#[derive(Default)]
pub struct Waits(BTreeMap<(Way, &'static str), Wait>);

#[derive(Clone, Copy, Default)]
struct Wait {
    longest: Duration,
    all: Duration,
}

impl Waits {
    /// Further faults.
    pub fn note(&mut self, way: Way, backend: &'static str, faults: &Faults) {
        let wait = self.0.entry((way, backend)).or_default();
        wait.longest = wait.longest.max(faults.longest);
        wait.all += faults.waited;
    }

    /// Prints a line for each way.
    pub fn show(&self) {
        println!("# waits of faults for mmu_lock, in us: the longest and all together, while the guest is sent");
        println!("# {:<16}{:>20}{:>20}", "way", "C", "Rust");
        for (way, _) in self.0.keys().filter(|(_, backend)| *backend == C) {
            let [c, rust] = [C, RUST].map(|backend| {
                let Wait { longest, all } = self.of(*way, backend);
                format!("{} / {}", longest.as_micros(), all.as_micros())
            });
            println!("# {:<16}{c:>20}{rust:>20}", way.to_string());
        }
    }

    fn of(&self, way: Way, backend: &'static str) -> Wait {
        self.0.get(&(way, backend)).copied().unwrap_or_default()
    }
}
