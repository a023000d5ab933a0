// SPDX-License-Identifier: GPL-2.0

//! Giving way demands the pending flush and the RCU section.

use kvmrs_model::kvm::{MmuLock, PendingFlush, Shared};
use kvmrs_model::sync::rcu::Guard;

fn f(lock: &mut MmuLock<'_, Shared>, rcu: Guard) {
    let _ = lock.give_way(rcu); //~ E0061
}

fn g(lock: &mut MmuLock<'_, Shared>, flush: &mut PendingFlush<'_>) {
    let _ = lock.give_way(flush); //~ E0061
}

fn h(lock: &MmuLock<'_, Shared>, rcu: Guard, flush: &mut PendingFlush<'_>) {
    let _ = lock.give_way(rcu, flush); //~ E0596
}

fn main() {}
