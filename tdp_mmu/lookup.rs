// SPDX-License-Identifier: GPL-2.0

//! Walks to one frame without `mmu_lock`, for the fast page-fault path and MMIO checks in C.
//!
//! C counterparts: `kvm_tdp_mmu_get_walk()`, `kvm_tdp_mmu_fast_pf_get_last_sptep()`.

use crate::{
    kvm::{
        table::EntrySnapshot,
        Context,
        Entry,
        Gfn,
        ShadowPage,
        State,
        Vm, //
    },
    sync::Rcu, //
};

/// Calls `visit` for each entry on the way from `root` to `gfn`, absent ones included. There is
/// none if `root` does not span `gfn`.
#[inline]
pub fn for_each_on_path<'r>(
    vm: &'r Vm,
    rcu: &'r impl Rcu,
    root: &'r ShadowPage,
    gfn: Gfn,
    mut visit: impl FnMut(EntrySnapshot<'r>),
) {
    let mut table = root.table(rcu);
    let cx = Context::new(vm, rcu, root.role());
    while let Some(entry) = Entry::read(cx, table, gfn) {
        visit(entry.snapshot());
        let State::Link(link) = entry.state() else {
            return;
        };
        table = link.table();
    }
}
