// SPDX-License-Identifier: GPL-2.0

//! Raw writes to entries are out of reach, whatever lock is held.

use kvmrs_model::kvm::{spte::SpteCell, Spte};

fn f(cell: &SpteCell, value: Spte) {
    cell.store(value); //~ E0624
    cell.swap(value); //~ E0624
    let _ = cell.compare_exchange(value, value); //~ E0624
    cell.fetch_clear(1); //~ E0624
}

fn main() {}
