// SPDX-License-Identifier: GPL-2.0

//! What needs the lock for write does not exist under the lock for read.

use kvmrs_model::kvm::{table::Leaf, LeafBits, Shared};

fn f(leaf: Leaf<'_, Shared>, bits: LeafBits) {
    let _ = leaf.clear_atomically(bits); //~ E0599
}

fn main() {}
