// SPDX-License-Identifier: GPL-2.0

//! A vCPU's one-shot timer.

use crate::sync::Atomic;
use kernel::types::Opaque;
use kvm_bindings as bindings;

/// The timer of a vCPU of a VM on this backend.
///
/// # Invariants
///
/// C keeps the vCPU for as long as there is a reference, and has set its timer up once and for all. It stops the
/// timer before it lets go of the vCPU.
#[repr(transparent)]
pub struct Timer(Opaque<bindings::kvm_vcpu_xen>);

impl Timer {
    /// Borrows a timer from C.
    ///
    /// # Safety
    ///
    /// `ptr` must be in a vCPU of a live VM of this backend, which stays during `'a`.
    #[inline(always)]
    pub(super) unsafe fn from_raw<'a>(ptr: *mut bindings::kvm_vcpu_xen) -> &'a Self {
        // SAFETY: The vCPU stays during `'a`, and the type is transparent over its part.
        // INVARIANT: C sets the timer up when it makes the vCPU.
        unsafe { &*ptr.cast() }
    }

    /// When it is due, on the guest's clock. 0 if it is stopped.
    #[inline(always)]
    pub fn due(&self) -> &Atomic<u64> {
        // SAFETY: By the type's invariant the vCPU is there, and all access to the field is atomic.
        unsafe { Atomic::from_ptr(&raw mut (*self.0.get()).timer_expires) }
    }

    /// Whether it has an event that could not be sent. C reads it to know whether there is work.
    #[inline(always)]
    pub fn undelivered(&self) -> &Atomic<i32> {
        // SAFETY: As above.
        unsafe { Atomic::from_ptr(&raw mut (*self.0.get()).timer_pending.counter) }
    }

    /// The number of its port, or 0 if it has none.
    #[inline(always)]
    pub fn port(&self) -> u32 {
        // SAFETY: By the type's invariant the vCPU is there, and the field is one word.
        unsafe { (&raw const (*self.0.get()).timer_virq).read_volatile() }
    }

    /// Stops it, and waits for its interrupt. That costs little if it is stopped.
    pub fn stop(&self) -> Stopped<'_> {
        // SAFETY: By the type's invariant the timer is set up. Its interrupt takes no lock that this task has.
        unsafe { kernel::bindings::hrtimer_cancel(&raw mut (*self.0.get()).timer) };
        Stopped(self)
    }
}

/// A timer that does not interrupt, as its task has stopped it. Only that task starts it.
#[must_use]
pub struct Stopped<'a>(&'a Timer);

impl Stopped<'_> {
    /// It has that port from now on, or none if that is 0.
    #[inline(always)]
    pub fn set_port(self, port: u32) {
        // SAFETY: By the invariant of `Timer` the vCPU is there, and the field is one word.
        unsafe { (&raw mut (*self.0 .0.get()).timer_virq).write_volatile(port) };
    }

    /// It interrupts when the host's monotonic clock is at `at`.
    pub fn start(self, at: u64) {
        // SAFETY: By the invariant of `Timer` the timer is set up, and the vCPU stays until it is stopped. The
        // timer has a lock of its own.
        unsafe { bindings::kvmrs_xen_start_timer(self.0 .0.get(), at) };
    }

    /// It interrupts when it would have before it was stopped.
    pub fn restart(self) {
        // SAFETY: As above.
        unsafe { bindings::kvmrs_xen_restart_timer(self.0 .0.get()) };
    }
}
