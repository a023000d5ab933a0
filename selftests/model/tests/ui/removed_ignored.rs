// SPDX-License-Identifier: GPL-2.0

//! A table that was cut off cannot be overlooked.

#![deny(unused_must_use)]

use kvmrs_model::kvm::{table::RemovedTable, Shared};

fn cut<'r>(removed: RemovedTable<'r, Shared>) -> RemovedTable<'r, Shared> {
    removed
}

fn f(removed: RemovedTable<'_, Shared>) {
    cut(removed); //~ unused_must_use
}

fn main() {}
