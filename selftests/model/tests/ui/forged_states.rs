// SPDX-License-Identifier: GPL-2.0

//! An entry cannot be claimed to be in another state than it was read in.

use kvmrs_model::kvm::{
    table::{Absent, Leaf},
    Entry, Shared,
};

fn f(entry: Entry<'_, Shared>) -> Absent<'_, Shared> {
    Absent(entry) //~ E0423
}

fn g(entry: Entry<'_, Shared>) -> Leaf<'_, Shared> {
    Leaf(entry) //~ E0423
}

fn main() {}
