// SPDX-License-Identifier: GPL-2.0

//! A VM of whichever backend and its memory slots, to be looked at.
//!
//! A backend shares C's data structures. So whoever only looks at roots, tables and slots needs not
//! know whose VM it is. What the module keeps for VMs of its own is out of reach here.

use super::{
    memslot::MemSlot,
    raw::Vm, //
};
use crate::kvm::types::{
    AddressSpace,
    Gfn,
    Level, //
};
use core::ops::Deref;
use kernel::types::{
    NotThreadSafe,
    Opaque, //
};
use kvm_bindings as bindings;

/// A `struct kvm` that uses a TDP MMU without mirror roots: the module's or C's.
///
/// # Invariants
///
/// A reference is valid while C keeps the VM alive. Its list of roots is initialised.
#[repr(transparent)]
pub struct AnyVm(Opaque<bindings::kvm>);

// SAFETY: Every method takes the locks it needs, or reads single words.
unsafe impl Sync for AnyVm {}

impl AnyVm {
    /// Borrows a VM from C.
    ///
    /// # Safety
    ///
    /// `ptr` must be a VM with a TDP MMU and without mirror roots that is alive during `'a`.
    #[inline(always)]
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::kvm) -> &'a Self {
        // SAFETY: The VM is alive during `'a`, and `AnyVm` is transparent over it.
        // INVARIANT: A VM with a TDP MMU has its list from its creation on.
        unsafe { &*ptr.cast() }
    }

    /// The C object.
    #[inline(always)]
    pub(in crate::kvm) fn as_ptr(&self) -> *mut bindings::kvm {
        self.0.get()
    }

    /// What tells an MMIO entry of this VM, under [`masks::mmio`](crate::kvm::spte::masks::mmio).
    #[inline(always)]
    pub fn mmio_value(&self) -> u64 {
        // SAFETY: The VM is alive; the field is set before its first vCPU.
        unsafe { (*self.as_ptr()).arch.shadow_mmio_value }
    }

    /// Whether the CPU logs dirty pages by itself (PML).
    #[inline(always)]
    pub fn has_cpu_dirty_log(&self) -> bool {
        // SAFETY: The VM is alive; the field does not change after its creation.
        unsafe { (*self.as_ptr()).arch.cpu_dirty_log_size != 0 }
    }

    /// How many pages of `level` the statistics say are mapped. `None` if the shadow MMU, whose
    /// pages are counted too, may have some.
    pub fn counted_pages(&self, level: Level) -> Option<i64> {
        // SAFETY: The VM is alive.
        let pages = unsafe { bindings::kvmrs_tdp_page_stats(self.as_ptr(), level.raw().into()) };
        (pages >= 0).then_some(pages)
    }

    /// How many tables there are but for roots, where `CONFIG_KVM_PROVE_MMU` counts them.
    pub fn counted_tables(&self) -> Option<i64> {
        // SAFETY: The VM is alive.
        let tables = unsafe { bindings::kvmrs_tdp_mmu_pages_read(self.as_ptr()) };
        cfg!(CONFIG_KVM_PROVE_MMU).then_some(tables)
    }

    /// Lends `look` the VM's slots, in a read-side section of `kvm->srcu`.
    pub fn with_slots<R>(&self, look: impl FnOnce(&AnySlots<'_>) -> R) -> R {
        // SAFETY: The VM is alive.
        let section = unsafe { bindings::kvmrs_slots_read_lock(self.as_ptr()) };
        // SAFETY: The section lasts until `look` has returned.
        let found = look(&unsafe { AnySlots::assume(self) });
        // SAFETY: The section was begun above.
        unsafe { bindings::kvmrs_slots_read_unlock(self.as_ptr(), section) };
        found
    }

    /// Lends `look` the VM's slots while nobody may change slots, tables or entries: with
    /// `slots_lock`, and `mmu_lock` for write. The fast page-fault path and hardware still set bits.
    ///
    /// Waits for all readers of the slots, so it is not for [`with_slots`](Self::with_slots).
    pub fn hold_still<R>(&self, look: impl FnOnce(&AnySlots<'_>) -> R) -> R {
        // SAFETY: The VM is alive.
        unsafe { bindings::kvmrs_hold_still(self.as_ptr()) };
        // SAFETY: `slots_lock` is held until `look` has returned.
        let found = look(&unsafe { AnySlots::assume(self) });
        // SAFETY: The locks were taken above.
        unsafe { bindings::kvmrs_let_go(self.as_ptr()) };
        found
    }
}

/// A VM of the module's own is one of all.
impl Deref for Vm {
    type Target = AnyVm;

    #[inline(always)]
    fn deref(&self) -> &AnyVm {
        // SAFETY: The VM is alive for as long as `self` is borrowed. The module's VMs have a TDP MMU
        // and no mirror roots, because C gives no others to a backend.
        unsafe { AnyVm::from_raw(self.as_ptr()) }
    }
}

/// The memslots of a VM, while they stay.
///
/// # Invariants
///
/// The current task is in a read-side section of `kvm->srcu`, or holds `kvm->slots_lock`, for as
/// long as the value exists.
pub struct AnySlots<'vm> {
    vm: &'vm AnyVm,
    _task: NotThreadSafe,
}

impl<'vm> AnySlots<'vm> {
    /// Takes note of what keeps the slots.
    ///
    /// # Safety
    ///
    /// The current task must be in a read-side section of `vm`'s SRCU, or hold its `slots_lock`,
    /// until the value is gone.
    #[inline(always)]
    unsafe fn assume(vm: &'vm AnyVm) -> Self {
        // INVARIANT: The section lasts, or the lock is held, until the value is gone.
        Self {
            vm,
            _task: NotThreadSafe,
        }
    }

    /// The slot that `gfn` lies in, in `address_space`.
    pub fn find(&self, address_space: AddressSpace, gfn: Gfn) -> Option<&MemSlot> {
        let vm = self.vm.as_ptr();
        // SAFETY: The VM is alive, and by the type's invariant its slots stay. The function looks whether
        // there is such an address space.
        let slot = unsafe { bindings::kvmrs_find_slot(vm, address_space.raw(), gfn.raw()) };
        // SAFETY: What was found stays while `self` is borrowed.
        unsafe { slot.cast::<MemSlot>().as_ref() }
    }
}
