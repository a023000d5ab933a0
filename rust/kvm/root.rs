// SPDX-License-Identifier: GPL-2.0

//! Roots: their list, their references, their end.
//!
//! `kvm->arch.tdp_mmu_roots` is an RCU list; `tdp_mmu_pages_lock` keeps writers apart. A root has
//! one reference per vCPU that uses it and one of the TDP MMU's own, which ends after the root was
//! invalidated and zapped. A [`Root`] is one more, so a walk may drop `mmu_lock` and find its root
//! again. The last reference takes the root off the list and frees it by RCU; a valid root never
//! gets there. Validity is not a matter of references: it changes under `mmu_lock` held for write.

use super::{
    lock::{MmuLock, PagesLock},
    mode::{Exclusive, Locked},
    page::{ShadowPage, TableMemory},
    Role,
    Vm,
    Which, //
};
use crate::sync::{rcu, Rcu};
use core::{
    mem::ManuallyDrop,
    ops::Deref,
    ptr, //
};
use kvm_bindings as bindings;

/// A counted reference to a root.
///
/// # Invariants
///
/// The value owns one of the root's references.
pub struct Root<'vm> {
    page: &'vm ShadowPage,
    vm: &'vm Vm,
}

/// The page that `link` belongs to, if it is not the list's head.
///
/// # Safety
///
/// `link` must be the list's head or the `link` field of a root that is not freed during `'a`.
#[inline(always)]
unsafe fn page_of<'a>(vm: &Vm, link: *mut kernel::bindings::list_head) -> Option<&'a ShadowPage> {
    if ptr::eq(link, head(vm)) {
        return None;
    }
    // SAFETY: The caller promises that `link` lies in a root.
    Some(unsafe { ShadowPage::from_raw(kernel::container_of!(link, bindings::kvm_mmu_page, link)) })
}

#[inline(always)]
fn head(vm: &Vm) -> *mut kernel::bindings::list_head {
    // SAFETY: The VM is alive; this only computes an address.
    unsafe { &raw mut (*vm.as_ptr()).arch.tdp_mmu_roots }
}

#[inline(always)]
fn link(page: &ShadowPage) -> *mut kernel::bindings::list_head {
    // SAFETY: The page is alive; this only computes an address.
    unsafe { &raw mut (*page.as_ptr()).link }
}

/// Walks the list from behind `prev` on, without taking references.
struct Links<'r> {
    vm: &'r Vm,
    prev: *mut kernel::bindings::list_head,
}

impl<'r> Iterator for Links<'r> {
    type Item = &'r ShadowPage;

    #[inline(always)]
    fn next(&mut self) -> Option<&'r ShadowPage> {
        // SAFETY: Whoever made the value keeps the list's elements from being freed for `'r`, and
        // `prev` is one of them or the head.
        unsafe {
            let next = bindings::kvmrs_list_next_rcu(self.prev);
            self.prev = next;
            page_of(self.vm, next)
        }
    }
}

#[inline(always)]
fn count(page: &ShadowPage) -> *mut kernel::bindings::refcount_t {
    // SAFETY: The page is alive and a root; this only computes an address.
    unsafe { (&raw mut (*page.as_ptr()).__bindgen_anon_2.tdp_mmu_root_count).cast() }
}

impl<'vm> Root<'vm> {
    /// Takes a reference, unless the last one is gone already.
    #[inline]
    fn get(vm: &'vm Vm, page: &ShadowPage) -> Option<Self> {
        // SAFETY: `page` is a root that is still allocated.
        if !unsafe { bindings::kvmrs_refcount_inc_not_zero(count(page)) } {
            return None;
        }
        // SAFETY: The reference keeps the page from being freed while the value lives, which is
        // within the VM's life.
        let page = unsafe { ShadowPage::from_raw(page.as_ptr()) };
        // INVARIANT: The reference was just taken.
        Some(Self { page, vm })
    }

    /// Takes over a reference that C hands in, or that the list has given up.
    ///
    /// # Safety
    ///
    /// The caller must own a reference to the root `page` of `vm`.
    #[inline]
    pub unsafe fn from_raw(vm: &'vm Vm, page: *mut bindings::kvm_mmu_page) -> Self {
        // SAFETY: The reference keeps the page alive.
        let page = unsafe { ShadowPage::from_raw(page) };
        // INVARIANT: The caller promises it.
        Self { page, vm }
    }

    /// Hands the reference to C.
    #[inline]
    pub(super) fn into_raw(self) -> *mut bindings::kvm_mmu_page {
        ManuallyDrop::new(self).page.as_ptr()
    }

    /// If the root waits to be zapped, the reference that the TDP MMU holds until that is done.
    ///
    /// C's callers hold `slots_lock` or are the VM's last user.
    pub fn take_scheduled_zap(&self) -> Option<Root<'vm>> {
        // SAFETY: The page is alive, the flag belongs to the holder of `slots_lock`.
        let flag = unsafe {
            (&raw mut (*self.page.as_ptr())
                .__bindgen_anon_1
                .tdp_mmu_scheduled_root_to_zap)
                .cast::<bool>()
        };
        // SAFETY: As above.
        if !unsafe { flag.replace(false) } {
            return None;
        }
        // INVARIANT: `invalidate()` left the list's reference to whoever clears the flag.
        Some(Self {
            page: self.page,
            vm: self.vm,
        })
    }
}

impl Deref for Root<'_> {
    type Target = ShadowPage;

    #[inline(always)]
    fn deref(&self) -> &ShadowPage {
        self.page
    }
}

impl Drop for Root<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type's invariant there is a reference to put.
        if unsafe { bindings::kvmrs_refcount_dec_and_test(count(self.page)) } {
            free(self.vm, self.page);
        }
    }
}

/// Takes a root without references off the list.
#[cold]
fn free(vm: &Vm, root: &ShadowPage) {
    // The list's own reference outlives validity, so this cannot happen to a valid root.
    if !root.role().is_invalid() {
        vm.bug();
    }
    let lock = vm.pages_lock();
    // SAFETY: The root is on the list, and the lock is held.
    unsafe { bindings::kvmrs_list_del_rcu(link(root)) };
    drop(lock);
    // SAFETY: The root was just made unreachable, and references are gone for good.
    unsafe { root.free_by_rcu() };
}

impl<'vm, M: Locked> MmuLock<'vm, M> {
    /// The first root behind `prev`, or of all, that `which` admits, with a reference to it.
    pub fn next_root(&self, prev: Option<&Root<'vm>>, which: Which) -> Option<Root<'vm>> {
        let vm = self.vm();
        let _rcu = rcu::read_lock();
        let links = Links {
            vm,
            prev: prev.map_or(head(vm), |root| link(root.page)),
        };
        for page in links {
            if which.admits(page.role()) {
                if let Some(root) = Root::get(vm, page) {
                    return Some(root);
                }
            }
        }
        None
    }
}

impl MmuLock<'_, Exclusive> {
    /// The roots that `which` admits. They cannot change during the lock hold.
    #[inline(always)]
    pub fn roots(&self, which: Which) -> impl Iterator<Item = &ShadowPage> {
        let links = Links {
            vm: self.vm(),
            prev: head(self.vm()),
        };
        links.filter(move |page| which.admits(page.role()))
    }

    /// Keeps vCPUs from loading the valid roots again, and schedules each for being zapped.
    ///
    /// The TDP MMU's reference to each goes to whoever finds it by
    /// [`take_scheduled_zap`](Root::take_scheduled_zap).
    pub fn invalidate_roots(&self) {
        for page in self.roots(Which::VALID) {
            let sp = page.as_ptr();
            // SAFETY: `mmu_lock` is held for write, so nobody looks at the role; the flag belongs
            // to the holder of `slots_lock`, as C's callers are.
            unsafe {
                (*sp).__bindgen_anon_1.tdp_mmu_scheduled_root_to_zap = ManuallyDrop::new(true);
                (*sp).role = page.role().invalidated().into_raw();
            }
        }
    }
}

/// The roots of `vm` that `which` admits, for as long as an RCU section lasts.
#[inline(always)]
pub fn roots_rcu<'r>(
    vm: &'r Vm,
    _rcu: &'r impl Rcu,
    which: Which,
) -> impl Iterator<Item = &'r ShadowPage> {
    let links = Links { vm, prev: head(vm) };
    links.filter(move |page| which.admits(page.role()))
}

impl<'vm> PagesLock<'vm> {
    /// The root with `role`, with a reference to it.
    pub fn find_root(&self, role: Role) -> Option<Root<'vm>> {
        let mut links = Links {
            vm: self.vm(),
            prev: head(self.vm()),
        };
        // A root with this role is valid, so it has at least the list's reference.
        links
            .find(|page| page.role().word() == role.word())
            .and_then(|page| Root::get(self.vm(), page))
    }

    /// Makes a root of `memory` and puts it on the list.
    ///
    /// It starts with two references: the one returned, and the list's own.
    pub fn insert_root(&self, memory: TableMemory, role: Role) -> Root<'vm> {
        let sp = memory.into_root(role).as_ptr();
        // SAFETY: The page is owned until it is on the list; the lock is held.
        let page = unsafe { ShadowPage::from_raw(sp) };
        // SAFETY: As above.
        unsafe {
            bindings::kvmrs_refcount_set(count(page), 2);
            bindings::kvmrs_list_add_rcu(link(page), head(self.vm()));
        }
        // INVARIANT: One of the two.
        Root {
            page,
            vm: self.vm(),
        }
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
