// SPDX-License-Identifier: GPL-2.0

//! A table does not outlive the RCU section in which it was found.

use kvmrs_model::kvm::ShadowPage;
use kvmrs_model::sync::rcu;

fn f(root: &ShadowPage) {
    let rcu = rcu::read_lock();
    let table = root.table(&rcu);
    drop(rcu); //~ E0505
    let _ = table.cell(0).load();
}

fn main() {}
