// SPDX-License-Identifier: GPL-2.0

//! An eventfd of userspace's.

use core::ptr::NonNull;
use kernel::{
    error::{from_err_ptr, Result},
    prelude::*, //
};

/// A reference to an eventfd.
///
/// # Invariants
///
/// The value owns the reference.
pub struct EventFd(NonNull<kernel::bindings::eventfd_ctx>);

// SAFETY: An eventfd has its own lock, and any task may drop a reference.
unsafe impl Send for EventFd {}
// SAFETY: As above.
unsafe impl Sync for EventFd {}

impl EventFd {
    /// That of a file descriptor of the current task.
    pub fn of(fd: i32) -> Result<Self> {
        // SAFETY: No requirements.
        let context = from_err_ptr(unsafe { kernel::bindings::eventfd_ctx_fdget(fd) })?;
        // INVARIANT: C has taken the reference.
        NonNull::new(context).map(Self).ok_or(EINVAL)
    }

    /// Adds one to its count. No hard interrupt: there may be a lock that sleeps on PREEMPT_RT.
    pub fn signal(&self) {
        // SAFETY: By the type's invariant the eventfd is there.
        unsafe { kernel::bindings::eventfd_signal_mask(self.0.as_ptr(), 0) };
    }
}

impl Drop for EventFd {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant the value owns a reference, which ends with it.
        unsafe { kernel::bindings::eventfd_ctx_put(self.0.as_ptr()) };
    }
}
