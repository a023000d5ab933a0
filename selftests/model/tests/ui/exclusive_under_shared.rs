// SPDX-License-Identifier: GPL-2.0

//! What needs the lock for write does not exist under the lock for read.

use kvmrs_model::kvm::{table::Leaf, LeafBits, MmuLock, RootFilter, Shared};

fn f(leaf: Leaf<'_, Shared>, bits: LeafBits) {
    let Ok(_) = leaf.clear(bits); //~ E0005
}

fn g(lock: &MmuLock<'_, Shared>) {
    let _ = lock.roots(RootFilter::ALL); //~ E0599
    lock.invalidate_roots(); //~ E0599
}

fn main() {}
