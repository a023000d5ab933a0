// SPDX-License-Identifier: GPL-2.0

//! A table that takes a huge page's place has been filled.

use kvmrs_model::kvm::{
    table::Leaf,
    table::{NewTable, SplitMemory},
    Shared,
};

fn f(leaf: Leaf<'_, Shared>, memory: SplitMemory) {
    let _ = leaf.split(memory); //~ E0308
}

fn g(leaf: Leaf<'_, Shared>, empty: NewTable) {
    let _ = leaf.split(empty); //~ E0308
}

fn main() {}
