// SPDX-License-Identifier: GPL-2.0

//! What the module keeps for each VM, beside C's `struct kvm`.
//!
//! Made by the VM's first hook and freed by its last, so every other hook finds it.

use super::{
    changes::Changes,
    host::Listener,
    invalidations::Invalidations,
    raw::Vm, //
};
use crate::{
    mm::notifier::Registration,
    sync::wait_queue::WaitQueue, //
};
use core::cell::UnsafeCell;
use kernel::{
    new_mutex,
    prelude::*,
    static_lock_class,
    sync::Mutex,
    types::ForeignOwnable, //
};
use kvm_bindings as bindings;

/// The VM's registration with the host, between its hooks for that.
type Listening = Option<Pin<KBox<Registration<Listener>>>>;

/// The module's own part of a VM, `kvm->arch.vm_backend_data`.
#[pin_data]
pub struct VmState {
    has_memory_types: bool,
    invalidations: Invalidations,
    changes: UnsafeCell<Changes>,
    #[pin]
    ends: WaitQueue,
    #[pin]
    registration: Mutex<Listening>,
}

impl VmState {
    /// Makes the state of `kvm`; `ENOMEM` if there is no memory.
    ///
    /// # Safety
    ///
    /// `kvm` must be a VM under construction that nobody else uses and that has no state yet.
    pub unsafe fn attach(kvm: *mut bindings::kvm) -> Result {
        let state = pin_init!(Self {
            // SAFETY: No requirements. The answer is the vendor module's, which stays while there
            // are VMs.
            has_memory_types: unsafe { bindings::kvm_mmu_has_memtypes() },
            invalidations: Invalidations::new(),
            changes: UnsafeCell::new(Changes::new()),
            ends <- WaitQueue::new(c"kvm_rs: ends of changes", static_lock_class!()),
            registration <- new_mutex!(None),
        });
        let state = KBox::pin_init(state, GFP_KERNEL_ACCOUNT)?;
        // SAFETY: By the section above nobody else uses the VM.
        unsafe { (*kvm).arch.vm_backend_data = state.into_foreign() };
        Ok(())
    }

    /// Frees the state of `kvm`.
    ///
    /// # Safety
    ///
    /// [`attach`](Self::attach) must have succeeded for `kvm`, and nobody may use the VM as a [`Vm`]
    /// any more.
    pub unsafe fn detach(kvm: *mut bindings::kvm) {
        // SAFETY: By the section above `attach()` made the state, and no `Vm` is left by which it could be borrowed.
        unsafe {
            let state = core::mem::replace(&mut (*kvm).arch.vm_backend_data, core::ptr::null_mut());
            drop(Pin::<KBox<Self>>::from_foreign(state));
        }
    }

    /// Whether entries have a memory type, as those of EPT do. NPT has none.
    #[inline(always)]
    pub fn has_memory_types(&self) -> bool {
        self.has_memory_types
    }

    /// What the host is changing. Guarded by `mn_invalidate_lock`.
    #[inline(always)]
    pub(super) fn changes(&self) -> &UnsafeCell<Changes> {
        &self.changes
    }

    /// Who waits for the end of such a change.
    #[inline(always)]
    pub(super) fn ends(&self) -> &WaitQueue {
        &self.ends
    }

    /// The VM's registration with the host.
    pub(super) fn registration(&self) -> &Mutex<Listening> {
        &self.registration
    }
}

impl Vm {
    /// The module's own part of the VM.
    #[inline(always)]
    pub fn state(&self) -> &VmState {
        // SAFETY: By the type's invariant the VM has its state, which lives until nobody uses the VM
        // any more.
        unsafe { &*(*self.as_ptr()).arch.vm_backend_data.cast() }
    }

    /// What the host is taking away.
    #[inline(always)]
    pub(in crate::kvm) fn record(&self) -> &Invalidations {
        &self.state().invalidations
    }
}
