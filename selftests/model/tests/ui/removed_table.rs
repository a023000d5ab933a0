// SPDX-License-Identifier: GPL-2.0

//! Who cuts off a table owns it until it is retired, and nobody else gets there.

use kvmrs_model::kvm::{table::RemovedTable, Change, Context, Shared};

fn g(removed: RemovedTable<'_, Shared>) {
    removed.retire();
    removed.retire(); //~ E0382
}

fn h(removed: RemovedTable<'_, Shared>) {
    removed.retire();
    let _ = removed.take(0); //~ E0382
}

fn i(change: &Change, cx: Context<'_, Shared>) {
    let _ = RemovedTable::unlinked_by(change, cx); //~ E0624
}

fn main() {}
