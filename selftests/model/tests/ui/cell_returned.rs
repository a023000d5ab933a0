// SPDX-License-Identifier: GPL-2.0

//! The memory of an entry cannot be kept for later either.

use kvmrs_model::kvm::{spte::SpteCell, Context, VmPage};
use kvmrs_model::sync::rcu;

fn f<'r>(root: &'r VmPage<'_>) -> Option<&'r SpteCell> {
    let rcu = rcu::read_lock();
    let (_, table) = Context::enter(root.vm(), &rcu, root)?;
    Some(table.cell(0)) //~ E0515
}

fn main() {}
