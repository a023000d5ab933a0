// SPDX-License-Identifier: GPL-2.0

//! Without the lock an entry can be aged, or get rights back, and that is all.

use kvmrs_model::kvm::{table::Leaf, LeafBits, LeafSpte, Lockless, Shared, Spte};

fn f(leaf: Leaf<'_, Lockless>, bits: LeafBits) {
    let _ = leaf.clear(bits); //~ E0599
}

fn g(leaf: Leaf<'_, Lockless>) {
    let _ = leaf.zap(); //~ E0599
}

fn updated(leaf: Leaf<'_, Lockless>, new: LeafSpte) {
    let _ = leaf.update(new); //~ E0599
}

fn restored_under_the_lock(leaf: Leaf<'_, Shared>, new: Spte) {
    let _ = leaf.restore(new); //~ E0599
}

fn main() {}
