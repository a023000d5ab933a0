// SPDX-License-Identifier: GPL-2.0

//! `struct gfn_to_pfn_cache`, field by field.

use super::mapping::Mapping;
use crate::{
    kvm::{
        gpc::{
            pins::Pins,
            place::{page_around, Address, Place}, //
        },
        memory::Vm,
        types::Gfn, //
    },
    mm::HostRange,
    sync::{Acquire, Atomic, Relaxed, Release}, //
};
use core::{
    ops::Deref,
    ptr::{self, NonNull}, //
};
use kernel::types::{
    NotThreadSafe,
    Opaque, //
};
use kvm_bindings as bindings;

/// A pfn cache of a VM on this backend.
///
/// # Invariants
///
/// C has initialised it, and keeps it and its VM for as long as there is a reference, and while it is
/// active. What its fields say changes as [`state`](crate::kvm::gpc) has it: only while `refresh_lock` is
/// held, and all but the word of pins and `active` only while the cache is not valid and nobody has
/// it pinned.
///
/// `base` is null, or the address of a page that the cache owns a mapping of, which `pfn` tells how to
/// unmap.
#[repr(transparent)]
pub struct Gpc(Opaque<bindings::gfn_to_pfn_cache>);

// SAFETY: By the type's invariant, what is not guarded by a lock or a pin is atomic.
unsafe impl Sync for Gpc {}

impl Gpc {
    /// Borrows a cache from C.
    ///
    /// # Safety
    ///
    /// `ptr` must be a cache that was initialised for a VM of this backend. Both must stay during `'a`,
    /// and be used by this module alone. The VM is between its hooks `create` and `destroy`.
    #[inline(always)]
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::gfn_to_pfn_cache) -> &'a Self {
        // SAFETY: The cache stays during `'a`, and the type is transparent over it.
        unsafe { &*ptr.cast() }
    }

    /// The C object.
    #[inline(always)]
    pub(in crate::kvm::gpc) fn as_ptr(&self) -> *mut bindings::gfn_to_pfn_cache {
        self.0.get()
    }

    /// The VM.
    #[inline(always)]
    pub fn vm(&self) -> &Vm {
        // SAFETY: By the type's invariant the VM is one of this backend, and stays.
        unsafe { Vm::from_raw((*self.as_ptr()).kvm) }
    }

    /// The word of pins.
    #[inline(always)]
    pub(in crate::kvm::gpc) fn pins(&self) -> Pins<'_> {
        // SAFETY: The cache is there, and all access to the word is atomic.
        Pins::new(unsafe { Atomic::from_ptr(&raw mut (*self.as_ptr()).pins.counter) })
    }

    #[inline(always)]
    fn active(&self) -> &Atomic<bool> {
        // SAFETY: The cache is there. C reads the field without a lock.
        unsafe { Atomic::from_ptr(&raw mut (*self.as_ptr()).active) }
    }

    /// Whether the cache is in use. With `refresh_lock` held the answer stays true.
    #[inline(always)]
    pub fn is_active(&self) -> bool {
        self.active().load(Relaxed)
    }

    #[inline(always)]
    fn host(&self) -> &Atomic<usize> {
        // SAFETY: The cache is there, and all access to the field is atomic.
        unsafe { Atomic::from_ptr(&raw mut (*self.as_ptr()).uhva) }
    }

    #[inline(always)]
    fn gpa(&self) -> &Atomic<u64> {
        // SAFETY: As above. C reads it without a lock.
        unsafe { Atomic::from_ptr(&raw mut (*self.as_ptr()).gpa) }
    }

    /// The host's page that the cache is for, if there is one. Who sees a page sees all that was done
    /// before the cache moved there.
    #[inline(always)]
    pub(in crate::kvm::gpc) fn page(&self) -> Option<HostRange> {
        let host = self.host().load(Acquire);
        // SAFETY: No requirements.
        let known = !unsafe { bindings::kvmrs_is_error_hva(host) };
        known.then(|| page_around(host))
    }

    /// What the cache is for. Only with a pin, or with `refresh_lock` held.
    #[inline(always)]
    pub(in crate::kvm::gpc) fn address(&self) -> Address {
        match self.gpa().load(Relaxed) {
            bindings::INVALID_GPA => Address::Host(self.host().load(Relaxed)),
            gpa => Address::Guest(gpa),
        }
    }

    /// The generation of the slots that the place comes from. As above.
    #[inline(always)]
    pub(in crate::kvm::gpc) fn generation(&self) -> u64 {
        // SAFETY: By the type's invariant nobody changes it while the cache is pinned, or `refresh_lock` held.
        unsafe { (*self.as_ptr()).generation }
    }

    /// The page's address in the kernel. Only with a pin.
    #[inline(always)]
    pub(in crate::kvm::gpc) fn base(&self) -> *mut u8 {
        // SAFETY: By the type's invariant nobody changes it while the cache is pinned.
        unsafe { (*self.as_ptr()).base.cast() }
    }

    /// Marks the page dirty in the slot that it is in, if any. Only with a pin, and while the slots are
    /// held whose generation the cache has.
    #[inline(always)]
    pub(in crate::kvm::gpc) fn mark_dirty(&self) {
        let cache = self.as_ptr();
        // SAFETY: The VM is alive. By the invariant of `GuestPage` nobody changes the fields, and a slot
        // that was found in the slots of that generation is still there.
        unsafe {
            if !(*cache).memslot.is_null() {
                let gfn = Gfn::of_addr((*cache).gpa);
                bindings::mark_page_dirty_in_slot((*cache).kvm, (*cache).memslot, gfn.raw());
            }
        }
    }

    /// Takes `refresh_lock`.
    pub(in crate::kvm::gpc) fn lock_refresh(&self) -> RefreshLock<'_> {
        // SAFETY: C has initialised the lock.
        unsafe { bindings::kvmrs_gpc_lock(self.as_ptr()) };
        RefreshLock(self, NotThreadSafe)
    }

    /// As above, but `None` if somebody kills the task while it waits.
    pub(in crate::kvm::gpc) fn lock_refresh_killable(&self) -> Option<RefreshLock<'_>> {
        // SAFETY: As above.
        let locked = unsafe { bindings::kvmrs_gpc_lock_killable(self.as_ptr()) };
        locked.then_some(RefreshLock(self, NotThreadSafe))
    }
}

/// A cache with its `refresh_lock` held.
///
/// # Invariants
///
/// The lock was taken for the value alone.
pub(in crate::kvm::gpc) struct RefreshLock<'a>(&'a Gpc, NotThreadSafe);

impl RefreshLock<'_> {
    /// It is from now on, or no longer.
    #[inline(always)]
    pub(in crate::kvm::gpc) fn set_active(&self, active: bool) {
        self.active().store(active, Relaxed);
    }

    /// Whether it is at `place` already.
    pub(in crate::kvm::gpc) fn is_at(&self, place: &Place<'_>) -> bool {
        let same_slots = self.generation() == place.generation || place.slot.is_none();
        self.address() == place.address && same_slots && self.page() == place.page()
    }

    /// It is for this place from now on. Only while nobody has the cache pinned.
    pub(in crate::kvm::gpc) fn set_place(&self, place: &Place<'_>) {
        let cache = self.as_ptr();
        let gpa = match place.address {
            Address::Guest(gpa) => gpa,
            Address::Host(_) => bindings::INVALID_GPA,
        };
        // SAFETY: The lock is held, and by the invariant of `Closed` nobody has the cache pinned.
        unsafe {
            (*cache).generation = place.generation;
            (*cache).memslot = place.slot.map_or(ptr::null_mut(), |slot| slot.as_ptr());
        }
        self.gpa().store(gpa, Relaxed);
        // SAFETY: No requirements.
        let unknown = || unsafe { bindings::kvmrs_bad_hva() };
        // Who no longer finds the page that was before sees that its pins are gone.
        self.host()
            .store(place.host.unwrap_or_else(unknown), Release);
    }

    /// Puts the mapping of a page there. Only while nobody has the cache pinned and there is none.
    pub(in crate::kvm::gpc) fn put_mapping(&self, mapping: Mapping) {
        let (pfn, base) = mapping.into_raw();
        // SAFETY: As for `set_place()`.
        // INVARIANT: The cache owns the mapping from now on.
        unsafe {
            (*self.as_ptr()).pfn = pfn;
            (*self.as_ptr()).base = base.as_ptr().cast();
        }
    }

    /// Takes it away. Only while nobody has the cache pinned.
    pub(in crate::kvm::gpc) fn take_mapping(&self) -> Option<Mapping> {
        let cache = self.as_ptr();
        // SAFETY: As for `set_place()`. No requirements for the value of an error.
        let (pfn, base) = unsafe {
            let none = bindings::kvmrs_pfn_err_fault();
            let base = ptr::replace(&raw mut (*cache).base, ptr::null_mut());
            (ptr::replace(&raw mut (*cache).pfn, none), base)
        };
        // SAFETY: By the type's invariant the cache owned the mapping. Its field is null now.
        NonNull::new(base.cast()).map(|base| unsafe { Mapping::from_raw(pfn, base) })
    }
}

impl Deref for RefreshLock<'_> {
    type Target = Gpc;

    #[inline(always)]
    fn deref(&self) -> &Gpc {
        self.0
    }
}

impl Drop for RefreshLock<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant the lock is held.
        unsafe { bindings::kvmrs_gpc_unlock(self.as_ptr()) };
    }
}
