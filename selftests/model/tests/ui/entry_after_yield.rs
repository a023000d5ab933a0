// SPDX-License-Identifier: GPL-2.0

//! An entry does not survive a yield: the lock and the RCU section that it borrows from end there.

use kvmrs_model::kvm::{Context, Entry, Exclusive, Gfn, MmuLock, PendingFlush, VmPage};
use kvmrs_model::sync::rcu;

fn f(lock: &mut MmuLock<'_, Exclusive>, root: &VmPage<'_>, flush: &mut PendingFlush<'_>) {
    let rcu = rcu::read_lock();
    let entry = {
        let Some((cx, table)) = Context::<Exclusive>::enter(&*lock, &rcu, root) else {
            return;
        };
        Entry::read(cx, table, Gfn::new(0))
    };
    let _rcu = lock.give_way(rcu, flush); //~ E0502 E0505
    let _ = entry.map(|entry| entry.spte());
}

fn main() {}
