// SPDX-License-Identifier: GPL-2.0

//! Rights are given back without `mmu_lock` only inside of an RCU section.

use kvmrs_model::{
    kvm::{Gfn, Spte, State, VmPage},
    sync::rcu,
    tdp_mmu::lookup,
};

fn after_the_section(root: &VmPage<'_>, new: Spte) {
    let rcu = rcu::read_lock();
    if let Some((_, State::Leaf(leaf))) = lookup::last_on_path(&rcu, root, Gfn::new(0)) {
        drop(rcu); //~ E0505
        let _ = leaf.restore(new);
    }
}

fn main() {}
