// SPDX-License-Identifier: GPL-2.0

//! An entry does not survive the hold of the lock under which it was read.

use kvmrs_model::kvm::{Context, Entry, Gfn, ShadowPage, Shared, Vm};
use kvmrs_model::sync::rcu;

fn f(vm: &Vm, root: &ShadowPage) {
    let rcu = rcu::read_lock();
    let lock = vm.mmu_read();
    let cx = Context::<Shared>::new(&*lock, &rcu, root.role());
    let entry = Entry::read(cx, root.table(&rcu), Gfn::new(0));
    drop(lock); //~ E0505
    let _ = entry.map(|entry| entry.spte());
}

fn main() {}
