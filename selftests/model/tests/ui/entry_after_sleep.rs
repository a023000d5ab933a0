// SPDX-License-Identifier: GPL-2.0

//! An entry does not survive dropping the lock to sleep.

use kvmrs_model::kvm::{Context, Entry, Gfn, MmuLock, PendingFlush, Shared, VmPage};
use kvmrs_model::sync::rcu::{self, Guard};

fn f(
    lock: &mut MmuLock<'_, Shared>,
    other: &Guard,
    root: &VmPage<'_>,
    flush: &mut PendingFlush<'_>,
) {
    let Some((cx, table)) = Context::<Shared>::enter(&*lock, other, root) else {
        return;
    };
    let entry = Entry::read(cx, table, Gfn::new(0));
    let rcu = rcu::read_lock();
    let _ = lock.unlocked(rcu, flush, || ()); //~ E0502
    let _ = entry.map(|entry| entry.spte());
}

fn main() {}
