// SPDX-License-Identifier: GPL-2.0

//! A refresh has the cache's lock from its begin to its end: each state of it comes from the one before, which is
//! gone then. The first comes with the lock.

use kvmrs_model::kvm::gpc::{Active, Address, Closed, Gpc, Sleeper};

fn moved_twice(active: Active<'_>, task: &Sleeper<'_>) {
    let _first = active.move_to(Address::Guest(0), task);
    let _second = active.move_to(Address::Guest(0), task); //~ E0382
}

fn looked_up_twice(closed: Closed<'_>, task: &mut Sleeper<'_>) {
    let _ = closed.look_up(task);
    let _ = closed.look_up(task); //~ E0382
}

fn without_the_lock(cache: &Gpc, task: &Sleeper<'_>) {
    let _ = cache.move_to(Address::Guest(0), task); //~ E0599
}

fn forged(cache: &Gpc) -> Active<'_> {
    Active(cache) //~ E0423
}

fn main() {}
