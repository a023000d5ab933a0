// SPDX-License-Identifier: GPL-2.0

//! A vCPU that events can be sent to.

use super::timer::Timer;
use crate::{
    kvm::{
        gpc::Gpc,
        memory::Vm,
        xen::{Layout, Word}, //
    },
    sync::Atomic, //
};
use kernel::types::Opaque;
use kvm_bindings as bindings;

/// A vCPU of a VM on this backend, as far as others send events to it.
///
/// # Invariants
///
/// C keeps the vCPU, and its VM, for as long as there is a reference. Its cache is initialised.
#[repr(transparent)]
pub struct Target(Opaque<bindings::kvm_vcpu>);

impl Target {
    /// Borrows a vCPU from C.
    ///
    /// # Safety
    ///
    /// `ptr` must be a vCPU of a live VM of this backend. During `'a`, it must stay.
    #[inline(always)]
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::kvm_vcpu) -> &'a Self {
        // SAFETY: The vCPU stays during `'a`, and the type is transparent over it.
        // INVARIANT: C initialises the cache when it makes the vCPU.
        unsafe { &*ptr.cast() }
    }

    /// The C object.
    #[inline(always)]
    pub(super) fn as_ptr(&self) -> *mut bindings::kvm_vcpu {
        self.0.get()
    }

    #[inline(always)]
    fn xen(&self) -> *mut bindings::kvm_vcpu_xen {
        // SAFETY: By the type's invariant the vCPU is there.
        unsafe { &raw mut (*self.0.get()).arch.xen }
    }

    /// The VM.
    #[inline(always)]
    pub fn vm(&self) -> &Vm {
        // SAFETY: By the type's invariant the VM is one of this backend, and stays.
        unsafe { Vm::from_raw((*self.0.get()).kvm) }
    }

    /// The layout of the guest. Another task may change it at any time.
    #[inline(always)]
    pub fn layout(&self) -> Layout {
        self.vm().xen_layout()
    }

    /// The cache of the guest's `shared_info`.
    #[inline(always)]
    pub fn shared_info(&self) -> &Gpc {
        self.vm().xen_shared_info()
    }

    /// Its timer.
    #[inline(always)]
    pub fn timer(&self) -> &Timer {
        // SAFETY: By the type's invariant the VM is one of this backend, and the vCPU stays.
        unsafe { Timer::from_raw(self.xen()) }
    }

    /// The cache of its `vcpu_info`.
    #[inline(always)]
    pub fn vcpu_info(&self) -> &Gpc {
        // SAFETY: By the type's invariant the cache is initialised, and stays.
        unsafe { Gpc::from_raw(&raw mut (*self.xen()).vcpu_info_cache) }
    }

    /// Notes that `word` is to be written to its `vcpu_info`. Returns whether that is new.
    #[inline]
    pub fn owe(&self, word: Word) -> bool {
        // SAFETY: By the type's invariant the vCPU is there, and a word's index is below 64.
        let old = unsafe {
            let owed = &raw mut (*self.xen()).evtchn_pending_sel;
            bindings::kvmrs_test_and_set_bit(word.index(), owed)
        };
        !old
    }

    /// What was noted.
    #[inline(always)]
    pub fn owed(&self) -> u64 {
        // SAFETY: By the type's invariant the vCPU is there, and the field is one word.
        unsafe { (&raw const (*self.xen()).evtchn_pending_sel).read_volatile() as u64 }
    }

    /// These words are no longer to be written.
    #[inline]
    pub fn forget_owed(&self, words: u64) {
        // SAFETY: By the type's invariant the vCPU is there.
        unsafe { bindings::kvmrs_clear_bits(words, &raw mut (*self.xen()).evtchn_pending_sel) };
    }

    /// What it polls for. C does not use the field.
    #[inline(always)]
    pub fn poll_word(&self) -> &Atomic<i32> {
        // SAFETY: By the type's invariant the vCPU is there, and all access to the field is atomic.
        unsafe { Atomic::from_ptr(&raw mut (*self.xen()).poll_evtchn) }
    }

    /// The vector that tells it of events, if it has one of its own. Another task may change it.
    #[inline(always)]
    pub fn upcall_vector(&self) -> Option<u8> {
        // SAFETY: By the type's invariant the vCPU is there, and the field is one byte.
        match unsafe { (&raw const (*self.xen()).upcall_vector).read_volatile() } {
            0 => None,
            vector => Some(vector),
        }
    }

    /// Whether the current task, which may be the vCPU's on its way to sleep, may sleep here.
    #[inline(always)]
    pub fn may_sleep(&self) -> bool {
        // SAFETY: No requirements.
        unsafe { bindings::kvmrs_may_sleep_now() }
    }

    /// Interrupts it by that vector. Any context.
    pub fn interrupt(&self, vector: u8) {
        // SAFETY: By the type's invariant the vCPU is there.
        unsafe { bindings::kvmrs_xen_interrupt(self.as_ptr(), vector) };
    }

    /// It goes on, if it sleeps, and enters its guest anew. Any context.
    pub fn wake(&self) {
        // SAFETY: By the type's invariant the vCPU is there.
        unsafe { bindings::kvmrs_unblock(self.as_ptr()) };
    }
}
