// SPDX-License-Identifier: GPL-2.0

//! Walks to one frame without `mmu_lock`, for faults and for MMIO checks in C.
//!
//! C counterparts: `kvm_tdp_mmu_get_walk()`, `kvm_tdp_mmu_fast_pf_get_last_sptep()`.

use crate::{
    kvm::{
        table::EntrySnapshot,
        Context,
        Entry,
        Gfn,
        Level,
        Lockless,
        State,
        VmPage, //
    },
    sync::Rcu, //
};

/// Calls `visit` for each entry on the way from `root` to `gfn`, absent ones included. There is
/// none if `root` does not span `gfn`.
pub fn for_each_on_path<'r>(
    rcu: &'r impl Rcu,
    root: &'r VmPage<'_>,
    gfn: Gfn,
    mut visit: impl FnMut(EntrySnapshot<'r>),
) {
    let Some((cx, mut table)) = Context::enter(root.vm(), rcu, root) else {
        return;
    };
    while let Some(entry) = Entry::read(cx, table, gfn) {
        visit(entry.snapshot());
        let State::Link(link) = entry.state() else {
            return;
        };
        table = link.table();
    }
}

/// The last entry on the way, where it is and its state.
#[inline(always)]
pub fn last_on_path<'r>(
    rcu: &'r impl Rcu,
    root: &'r VmPage<'_>,
    gfn: Gfn,
) -> Option<(EntrySnapshot<'r>, State<'r, Lockless>)> {
    let (cx, table) = Context::enter(root.vm(), rcu, root)?;
    let entry = Entry::towards(cx, table, gfn, Level::PG_4K)?;
    Some((entry.snapshot(), entry.state()))
}
