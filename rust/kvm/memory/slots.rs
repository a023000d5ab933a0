// SPDX-License-Identifier: GPL-2.0

//! What keeps a VM's memory slots, and what `kvm->slots_lock` guards beside them.

use super::{
    memslot::MemSlot,
    raw::Vm, //
};
use crate::{
    kvm::types::{AddressSpace, Gfn},
    sync::srcu, //
};
use core::ptr;
use kernel::types::NotThreadSafe;
use kvm_bindings as bindings;

/// Proof that a VM's memslots stay: the current task is in a read-side section of `kvm->srcu`, or
/// holds `kvm->slots_lock`.
///
/// Slots borrow from it, so that none is used after the section or the lock ended.
///
/// # Invariants
///
/// One of the two is held for as long as the value exists.
pub struct SlotsHeld<'vm> {
    vm: &'vm Vm,
    _task: NotThreadSafe,
}

impl Vm {
    /// Lends `look` the VM's slots, in a read-side section of `kvm->srcu`.
    pub fn hold_slots<R>(&self, look: impl FnOnce(&mut SlotsHeld<'_>) -> R) -> R {
        // SAFETY: The VM is alive, and `kvm->srcu` with it.
        let srcu = unsafe { srcu::from_raw(&raw mut (*self.as_ptr()).srcu) };
        let _section = srcu.read_lock();
        // SAFETY: The section lasts until `look` has returned.
        look(&mut unsafe { SlotsHeld::assume(self) })
    }
}

impl<'vm> SlotsHeld<'vm> {
    /// Takes note of what C's caller holds. Lockdep checks it.
    ///
    /// # Safety
    ///
    /// The current task must be in a read-side section of `vm`'s SRCU, or hold its `slots_lock`,
    /// until the value is gone.
    #[inline(always)]
    pub unsafe fn assume(vm: &'vm Vm) -> Self {
        // SAFETY: The VM is alive.
        unsafe { bindings::kvmrs_slots_assert_held(vm.as_ptr()) };
        // INVARIANT: The section lasts, or the lock is held, until the value is gone.
        Self {
            vm,
            _task: NotThreadSafe,
        }
    }

    /// The VM whose slots they are.
    #[inline(always)]
    pub fn vm(&self) -> &'vm Vm {
        self.vm
    }

    /// The generation of the slots. Another one means that slots have changed since.
    #[inline(always)]
    pub fn generation(&self) -> u64 {
        // SAFETY: The VM is alive, and by the type's invariant its slots stay.
        unsafe { bindings::kvmrs_memslots_generation(self.vm.as_ptr()) }
    }

    /// The slot that `gfn` lies in, in `address_space`.
    pub fn find(&self, address_space: AddressSpace, gfn: Gfn) -> Option<&MemSlot> {
        let vm = self.vm.as_ptr();
        // SAFETY: As above. The function looks whether there is such an address space.
        let slot = unsafe { bindings::kvmrs_find_slot(vm, address_space.raw(), gfn.raw()) };
        // SAFETY: What was found stays while `self` is borrowed.
        unsafe { slot.cast::<MemSlot>().as_ref() }
    }

    /// Borrows a slot from C.
    ///
    /// # Safety
    ///
    /// `ptr` must be a slot that was found while the slots were held.
    #[inline(always)]
    pub unsafe fn slot(&self, ptr: *const bindings::kvm_memory_slot) -> &MemSlot {
        // SAFETY: By the type's invariant a slot that was found is still there.
        unsafe { &*ptr.cast() }
    }
}

/// Proof that the current task holds `kvm->slots_lock`, or is the VM's last user.
///
/// # Invariants
///
/// One of the two holds for as long as the value exists.
pub struct SlotsLocked<'vm> {
    vm: &'vm Vm,
    _task: NotThreadSafe,
}

impl<'vm> SlotsLocked<'vm> {
    /// Takes note that C's caller holds the lock. Lockdep checks it.
    ///
    /// # Safety
    ///
    /// The current task must hold `vm`'s `slots_lock` until the value is gone.
    #[inline(always)]
    pub unsafe fn assume(vm: &'vm Vm) -> Self {
        // SAFETY: The VM is alive.
        unsafe { bindings::kvmrs_slots_lock_assert_held(vm.as_ptr()) };
        // INVARIANT: The lock is held until the value is gone.
        Self {
            vm,
            _task: NotThreadSafe,
        }
    }

    /// Takes note that there is nobody to be kept out.
    ///
    /// # Safety
    ///
    /// Nobody else may use `vm` until the value is gone.
    #[inline(always)]
    pub unsafe fn last_user(vm: &'vm Vm) -> Self {
        // INVARIANT: The current task is the VM's last user.
        Self {
            vm,
            _task: NotThreadSafe,
        }
    }

    /// The VM whose lock it is.
    #[inline(always)]
    pub fn vm(&self) -> &'vm Vm {
        self.vm
    }

    /// Whether `slot` is one of the VM's.
    #[inline]
    pub(super) fn have(&self, slot: &MemSlot) -> bool {
        let (vm, space) = (self.vm.as_ptr(), slot.address_space().raw());
        // SAFETY: The VM is alive, and by the type's invariant its slots stay.
        let found = unsafe { bindings::kvmrs_find_slot(vm, space, slot.range().start.raw()) };
        ptr::eq(found, slot.as_ptr())
    }

    /// Takes bits out of a slot's dirty bitmap, from its word `first` on: all, or those that are set in
    /// `words`. Leaves in `words` what was taken. There is nothing behind its end.
    #[inline]
    pub(super) fn take_from_log(&self, slot: &MemSlot, first: usize, words: &mut [u64], all: bool) {
        let (words, count) = (words.as_mut_ptr().cast(), words.len());
        // SAFETY: The slot is alive, and its bitmap with it. The function stays within the bitmap, and
        // `words` are borrowed for it.
        unsafe { bindings::kvmrs_slot_take_log(slot.as_ptr(), first, words, count, all) };
    }
}
