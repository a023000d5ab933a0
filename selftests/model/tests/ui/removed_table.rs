// SPDX-License-Identifier: GPL-2.0

//! Who cuts off a table owns it, nobody else gets there, and it is freed by being taken apart.

use kvmrs_model::kvm::{table::RemovedTable, Change, Context, Shared};

fn g(removed: RemovedTable<'_, Shared>) {
    removed.take_apart(drop);
    removed.take_apart(drop); //~ E0382
}

fn h(removed: RemovedTable<'_, Shared>) {
    let _ = removed.take(0); //~ E0624
    removed.retire(); //~ E0599
}

fn i(change: &Change, cx: Context<'_, Shared>) {
    let _ = RemovedTable::unlinked_by(change, cx); //~ E0624
}

fn main() {}
