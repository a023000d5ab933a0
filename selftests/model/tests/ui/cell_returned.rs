// SPDX-License-Identifier: GPL-2.0

//! The memory of an entry cannot be kept for later either.

use kvmrs_model::kvm::{spte::SpteCell, ShadowPage};
use kvmrs_model::sync::rcu;

fn f(root: &ShadowPage) -> &SpteCell {
    let rcu = rcu::read_lock();
    root.table(&rcu).cell(0) //~ E0515
}

fn main() {}
