// SPDX-License-Identifier: GPL-2.0

//! `kvm->gpc_list`: the VM's caches that are in use. Guarded by `gpc_lock`.

use super::cache::{
    Gpc,
    RefreshLock, //
};
use crate::kvm::memory::Vm;
use kernel::container_of;
use kvm_bindings as bindings;

impl RefreshLock<'_> {
    /// Puts the cache, which is not in use, on the list.
    pub(in crate::kvm::gpc) fn enlist(&self) {
        // SAFETY: The cache and the VM are there. By the invariant of `Inactive` the cache is on no list.
        unsafe { bindings::kvmrs_gpc_list_add(self.as_ptr()) };
    }

    /// Takes the cache, which was in use, off the list. No notifier looks at it any more.
    pub(in crate::kvm::gpc) fn delist(&self) {
        // SAFETY: As above. By the invariant of `Active` it is on the list.
        unsafe { bindings::kvmrs_gpc_list_del(self.as_ptr()) };
    }
}

impl Vm {
    /// Calls `visit` for each cache that is in use, under `gpc_lock`.
    pub(in crate::kvm::gpc) fn for_each_cache(&self, visit: impl Fn(&Gpc)) {
        let kvm = self.as_ptr();
        // SAFETY: The VM is alive. The list does not change while the lock is held, and what is on it are
        // caches that are active, and so stay.
        unsafe {
            bindings::kvmrs_gpc_list_lock(kvm);
            let head = &raw mut (*kvm).gpc_list;
            let mut node = (*head).next;
            while node != head {
                visit(Gpc::from_raw(container_of!(
                    node,
                    bindings::gfn_to_pfn_cache,
                    list
                )));
                node = (*node).next;
            }
            bindings::kvmrs_gpc_list_unlock(kvm);
        }
    }
}
