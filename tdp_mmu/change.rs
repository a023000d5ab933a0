// SPDX-License-Identifier: GPL-2.0

//! What follows from a change of an entry: statistics, tracepoints, the tables cut off.
//!
//! C counterpart: `handle_changed_spte()` and `handle_removed_pt()` in `tdp_mmu.c`. What C only
//! warns about there, such as a leaf that changes its pfn, has no transition here.

use crate::kvm::{
    table::{report, Leaf, Link, RemovedTable, Taken, TransitionError},
    Change,
    Context,
    Flush,
    LeafSpte,
    Locked,
    Mode, //
};

/// Accounts a change that cut nothing off, or whose table is dealt with already.
#[inline(always)]
pub(super) fn account<M: Mode>(cx: &Context<'_, M>, change: Change) {
    report::spte_changed(cx, &change);
    let was_leaf = change.old.is_leaf(change.level);
    let is_leaf = change.new.is_leaf(change.level);
    if was_leaf != is_leaf {
        cx.vm()
            .count_pages(change.level, if is_leaf { 1 } else { -1 });
    }
}

/// Unmaps a leaf.
#[inline(always)]
pub(super) fn zap_leaf<M: Locked>(leaf: Leaf<'_, M>) -> Result<Flush, M::Raced> {
    let cx = leaf.cx();
    let (change, flush) = leaf.zap()?;
    account(&cx, change);
    Ok(flush)
}

/// Unmaps everything below a link.
pub(super) fn zap_link<M: Locked>(link: Link<'_, M>) -> Result<Flush, M::Raced> {
    let cx = link.cx();
    let (change, removed, flush) = link.zap()?;
    if let Some(table) = removed {
        dismantle(table);
    }
    account(&cx, change);
    Ok(flush)
}

/// Maps by one huge page what was mapped in small ones.
pub(super) fn collapse_link<M: Locked>(
    link: Link<'_, M>,
    leaf: LeafSpte,
) -> Result<Flush, TransitionError<M::Raced>> {
    let cx = link.cx();
    let (change, removed, flush) = link.collapse(leaf)?;
    if let Some(table) = removed {
        dismantle(table);
    }
    account(&cx, change);
    Ok(flush)
}

/// Takes apart a table that was cut off, and all that hang on it, children first.
///
/// Recursion ends with the level: there are at most four below a root.
fn dismantle<M: Locked>(removed: RemovedTable<'_, M>) {
    let cx = removed.cx();
    let level = removed.level();
    let mut leaves = 0;
    removed.take_apart(|taken| match taken {
        Taken::Absent(change) => report::spte_changed(&cx, &change),
        Taken::Leaf(change) => {
            report::spte_changed(&cx, &change);
            leaves += 1;
        }
        Taken::Table(change, table) => {
            dismantle(table);
            report::spte_changed(&cx, &change);
        }
    });
    if leaves != 0 {
        cx.vm().count_pages(level, -leaves);
    }
}
