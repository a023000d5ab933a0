// SPDX-License-Identifier: GPL-2.0

//! An entry does not survive dropping the lock to sleep.

use kvmrs_model::kvm::{Context, Entry, Gfn, MmuLock, PendingFlush, ShadowPage, Shared};
use kvmrs_model::sync::rcu::{self, Guard};

fn f(
    lock: &mut MmuLock<'_, Shared>,
    other: &Guard,
    root: &ShadowPage,
    flush: &mut PendingFlush<'_>,
) {
    let cx = Context::<Shared>::new(&*lock, other, root.role());
    let entry = Entry::read(cx, root.table(other), Gfn::new(0));
    let rcu = rcu::read_lock();
    let _ = lock.unlocked(rcu, flush, || ()); //~ E0502
    let _ = entry.map(|entry| entry.spte());
}

fn main() {}
