// SPDX-License-Identifier: GPL-2.0

//! An entry does not survive a yield: the lock and the RCU section that it borrows from end there.

use kvmrs_model::kvm::{Context, Entry, Exclusive, Gfn, MmuLock, PendingFlush, ShadowPage};
use kvmrs_model::sync::rcu;

fn f(lock: &mut MmuLock<'_, Exclusive>, root: &ShadowPage, flush: &mut PendingFlush<'_>) {
    let rcu = rcu::read_lock();
    let entry = {
        let cx = Context::<Exclusive>::new(&*lock, &rcu, root.role());
        Entry::read(cx, root.table(&rcu), Gfn::new(0))
    };
    let _rcu = lock.give_way(rcu, flush); //~ E0502 E0505
    let _ = entry.map(|entry| entry.spte());
}

fn main() {}
