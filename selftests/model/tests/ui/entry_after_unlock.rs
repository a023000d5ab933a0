// SPDX-License-Identifier: GPL-2.0

//! An entry does not survive the hold of the lock under which it was read.

use kvmrs_model::kvm::{Context, Entry, Gfn, Shared, Vm, VmPage};
use kvmrs_model::sync::rcu;

fn f(vm: &Vm, root: &VmPage<'_>) {
    let rcu = rcu::read_lock();
    let lock = vm.mmu_read();
    let Some((cx, table)) = Context::<Shared>::enter(&*lock, &rcu, root) else {
        return;
    };
    let entry = Entry::read(cx, table, Gfn::new(0));
    drop(lock); //~ E0505
    let _ = entry.map(|entry| entry.spte());
}

fn main() {}
