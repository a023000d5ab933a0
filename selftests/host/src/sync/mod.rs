// SPDX-License-Identifier: GPL-2.0

//! The host's `rust/sync`.

pub mod rcu;

pub use rcu::Rcu;

/// Lets whoever is waited for run.
pub fn cpu_relax() {
    crate::atomic::yield_now();
}
