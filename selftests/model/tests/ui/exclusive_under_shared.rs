// SPDX-License-Identifier: GPL-2.0

//! What needs the lock for write does not exist under the lock for read.

use kvmrs_model::kvm::{Context, Exclusive, MmuLock, RootFilter, Shared, VmPage};
use kvmrs_model::sync::rcu;

fn f(lock: &MmuLock<'_, Shared>) {
    let rcu = rcu::read_lock();
    let _ = lock.roots(&rcu, RootFilter::ALL); //~ E0599
    lock.invalidate_roots(); //~ E0599
}

fn g(lock: &MmuLock<'_, Shared>, root: &VmPage<'_>) {
    let rcu = rcu::read_lock();
    let _ = Context::<Exclusive>::enter(lock, &rcu, root); //~ E0271
}

fn main() {}
