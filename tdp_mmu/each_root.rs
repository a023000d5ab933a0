// SPDX-License-Identifier: GPL-2.0

//! One root after the other, across yields.

use crate::kvm::{
    Locked,
    MmuLock,
    Root,
    RootFilter, //
};
use core::ops::ControlFlow;

/// Calls `visit` for each root that `filter` admits, with a reference to it, so that it may drop
/// and retake the lock. `Break` ends the round.
pub fn for_each_root<'vm, M: Locked>(
    lock: &mut MmuLock<'vm, M>,
    filter: RootFilter,
    mut visit: impl FnMut(&mut MmuLock<'vm, M>, &Root<'vm>) -> ControlFlow<()>,
) {
    let mut next = lock.next_root(None, filter);
    while let Some(root) = next {
        if visit(lock, &root).is_break() {
            return;
        }
        // The reference to `root` keeps its place in the list until the next one is found.
        next = lock.next_root(Some(&root), filter);
    }
}
