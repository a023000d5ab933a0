// SPDX-License-Identifier: GPL-2.0

//! How roots are found, made and invalidated.

use super::{
    filter::RootFilter,
    list::{head, link, Links},
    root::{count, Root}, //
};
use crate::{
    kvm::{
        lock::{Exclusive, Locked, MmuLock, PagesLock},
        memory::{AnyVm, SlotsLocked, Vm},
        table::{Role, ShadowPage, TableMemory, VmPage}, //
    },
    sync::{rcu, Rcu}, //
};
use core::{
    mem::ManuallyDrop,
    ptr, //
};
use kvm_bindings as bindings;

impl<'vm, M: Locked> MmuLock<'vm, M> {
    /// The first root behind `prev`, or of all, that `filter` admits, with a reference to it.
    ///
    /// There is none behind a root of another VM, which marks the VM as broken.
    pub fn next_root(&self, prev: Option<&Root<'vm>>, filter: RootFilter) -> Option<Root<'vm>> {
        let vm = self.vm();
        if prev.is_some_and(|prev| !ptr::eq(prev.vm(), vm)) {
            vm.bug();
            return None;
        }
        let _rcu = rcu::read_lock();
        // SAFETY: Roots are freed by RCU, and `prev`, which is on the same list, is kept by its
        // reference.
        let links = unsafe { Links::behind(vm, prev.map(|prev| &***prev)) };
        for page in links {
            if filter.admits(page.role()) {
                if let Some(root) = Root::get(vm, page) {
                    return Some(root);
                }
            }
        }
        None
    }
}

impl MmuLock<'_, Exclusive> {
    /// The roots that `filter` admits, whose validity cannot change during the lock hold. RCU keeps
    /// them: a [`Root`] may be dropped without the lock.
    #[inline(always)]
    pub fn roots<'r>(
        &'r self,
        rcu: &'r impl Rcu,
        filter: RootFilter,
    ) -> impl Iterator<Item = VmPage<'r>> {
        roots_rcu(self.vm(), rcu, filter)
    }

    /// Keeps vCPUs from loading the valid roots again, and schedules each for being zapped.
    ///
    /// The TDP MMU's reference to each goes to the first caller of
    /// [`take_scheduled_zap`](Root::take_scheduled_zap).
    /// It is refused to who holds the `slots_lock` of another VM.
    pub fn invalidate_roots(&self, slots: &SlotsLocked<'_>) {
        if !ptr::eq(slots.vm(), self.vm()) {
            return self.vm().bug();
        }
        let rcu = rcu::read_lock();
        for page in self.roots(&rcu, RootFilter::VALID) {
            let sp = page.as_ptr();
            // SAFETY: The flag belongs to the holder of `slots_lock`. `mmu_lock` is held for write,
            // so nobody else writes the role; aging, which has RCU alone, reads it meanwhile by a
            // volatile load.
            unsafe {
                (*sp).__bindgen_anon_1.tdp_mmu_scheduled_root_to_zap = ManuallyDrop::new(true);
                (&raw mut (*sp).role).write_volatile(page.role().invalidated().into_raw());
            }
        }
    }
}

/// The roots of `vm` that `filter` admits, for as long as an RCU section lasts.
#[inline(always)]
pub fn roots_rcu<'r>(
    vm: &'r Vm,
    rcu: &'r impl Rcu,
    filter: RootFilter,
) -> impl Iterator<Item = VmPage<'r>> {
    any_roots_rcu(vm, rcu, filter).map(move |page| VmPage::new(vm, page))
}

/// The same for a VM of either backend: to be looked at, and no more.
#[inline(always)]
pub fn any_roots_rcu<'r>(
    vm: &'r AnyVm,
    _rcu: &'r impl Rcu,
    filter: RootFilter,
) -> impl Iterator<Item = &'r ShadowPage> {
    // SAFETY: Roots are freed by RCU, and the section is borrowed for `'r`.
    let links = unsafe { Links::behind(vm, None) };
    links.filter(move |page| filter.admits(page.role()))
}

impl<'vm> PagesLock<'vm> {
    /// The root with `role`, with a reference to it.
    pub fn find_root(&self, role: Role) -> Option<Root<'vm>> {
        // SAFETY: A root is freed after it was taken off the list, for which the lock is needed.
        let mut links = unsafe { Links::behind(self.vm(), None) };
        // A root with this role is valid, so it has at least the list's reference.
        links
            .find(|page| page.role().word() == role.word())
            .and_then(|page| Root::get(self.vm(), page))
    }

    /// Makes a root of `memory` and puts it on the list.
    ///
    /// It starts with two references: the one returned, and the list's own. `None` for a role that
    /// no vCPU's root has, which marks the VM as broken.
    pub fn insert_root(&self, memory: TableMemory, role: Role) -> Option<Root<'vm>> {
        if role.is_invalid() || role.level().is_none() {
            self.vm().bug();
            return None;
        }
        let sp = memory.into_root(role).as_ptr();
        // SAFETY: The page is owned until it is on the list; the lock is held.
        let page = unsafe { ShadowPage::from_raw(sp) };
        // SAFETY: The root's count is nobody else's before it is on the list, and the lock keeps
        // other writers off the list.
        unsafe {
            bindings::kvmrs_refcount_set(count(page), 2);
            bindings::kvmrs_list_add_rcu(link(page), head(self.vm()));
        }
        // SAFETY: One of the two references is the caller's.
        Some(unsafe { Root::from_raw(self.vm(), sp) })
    }
}

impl Vm {
    /// Prepares a new VM for TDP MMU roots.
    ///
    /// # Safety
    ///
    /// Nobody else may use the VM yet.
    pub unsafe fn init_roots(&self) {
        // SAFETY: The VM is alive, and nobody else uses it.
        unsafe {
            bindings::kvmrs_list_init(head(self));
            bindings::kvmrs_pages_lock_init(self.as_ptr());
        }
    }

    /// Whether no root is left.
    pub fn has_no_roots(&self) -> bool {
        // SAFETY: The VM is alive and its list initialised.
        unsafe { bindings::kvmrs_list_empty(head(self)) }
    }

    /// Number of live tables, where `CONFIG_KVM_PROVE_MMU` counts them, else 0.
    pub fn live_tables(&self) -> i64 {
        // SAFETY: The VM is alive.
        unsafe { bindings::kvmrs_tdp_mmu_pages_read(self.as_ptr()) }
    }
}
