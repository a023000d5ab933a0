// SPDX-License-Identifier: GPL-2.0

//! What a Xen guest shares with its host, while both use it, in every order that loom finds.
//!
//! No order may lose an event, wake nobody who polls for one, or show the guest times that do not belong
//! together.

#[path = "../common/explore.rs"]
mod common;
mod events;
mod poll;
mod timer;
mod times;
mod world;

use kvmrs_model::atomic::limit_spins;

const SPINS: u32 = 3;
const STACK: usize = 1 << 18;

/// Tries the orders of `scenario` with up to `preemptions` switches.
fn explore(name: &str, preemptions: usize, scenario: fn()) {
    limit_spins(SPINS);
    common::explore(name, preemptions, scenario);
}
