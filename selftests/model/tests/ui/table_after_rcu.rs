// SPDX-License-Identifier: GPL-2.0

//! A table does not outlive the RCU section in which it was found.

use kvmrs_model::kvm::{Context, VmPage};
use kvmrs_model::sync::rcu;

fn f(root: &VmPage<'_>) {
    let rcu = rcu::read_lock();
    let Some((_, table)) = Context::enter(root.vm(), &rcu, root) else {
        return;
    };
    drop(rcu); //~ E0505
    let _ = table.cell(0).load();
}

fn main() {}
