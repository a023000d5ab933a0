// SPDX-License-Identifier: GPL-2.0

//! What cannot fail under the lock for write can be lost to a race under the lock for read.

use kvmrs_model::kvm::{table::Leaf, LeafBits, Shared};

fn f(leaf: Leaf<'_, Shared>, bits: LeafBits) {
    let Ok(_) = leaf.clear(bits); //~ E0005
}

fn g(leaf: Leaf<'_, Shared>) {
    let Ok(_) = leaf.zap(); //~ E0005
}

fn main() {}
