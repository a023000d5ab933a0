// SPDX-License-Identifier: GPL-2.0

//! Without `mmu_lock` a leaf can be aged, and rights be given back: nothing else, and only inside of an
//! RCU section.

use kvmrs_model::{
    kvm::{table::Leaf, Gfn, LeafBits, LeafSpte, Lockless, Shared, Spte, State, VmPage},
    sync::rcu,
    tdp_mmu::lookup,
};

fn zapped(leaf: Leaf<'_, Lockless>) {
    let _ = leaf.zap(); //~ E0599
}

fn cleared(leaf: Leaf<'_, Lockless>) {
    let _ = leaf.clear(LeafBits::writable()); //~ E0599
}

fn updated(leaf: Leaf<'_, Lockless>, new: LeafSpte) {
    let _ = leaf.update(new); //~ E0599
}

fn restored_under_the_lock(leaf: Leaf<'_, Shared>, new: Spte) {
    let _ = leaf.restore(new); //~ E0599
}

fn after_the_section(root: &VmPage<'_>, new: Spte) {
    let rcu = rcu::read_lock();
    if let Some((_, State::Leaf(leaf))) = lookup::last_on_path(&rcu, root, Gfn::new(0)) {
        drop(rcu); //~ E0505
        let _ = leaf.restore(new);
    }
}

fn main() {}
