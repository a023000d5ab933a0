// SPDX-License-Identifier: GPL-2.0

//! Without a reference of its own a root is not there any more after a yield.

use kvmrs_model::kvm::{Exclusive, MmuLock, PendingFlush, RootFilter};
use kvmrs_model::sync::rcu;

fn f(lock: &mut MmuLock<'_, Exclusive>, flush: &mut PendingFlush<'_>) {
    let rcu = rcu::read_lock();
    for root in lock.roots(&rcu, RootFilter::ALL) {
        let _ = lock.give_way(rcu::read_lock(), flush); //~ E0502
        let _ = root.role();
    }
}

fn main() {}
