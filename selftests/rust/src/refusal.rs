// SPDX-License-Identifier: GPL-2.0

//! When KVM_RUN may come to nothing, and what it says then.
//!
//! While the host takes away what this process may do with a page, KVM cannot map it: EFAULT. At
//! any other time that is a failure. KVM's emulator, which carries out accesses where no slot is
//! or a read-only one, has been seen to give up while mprotect() was at work, on both backends,
//! for a reason that is not known; so that, too, is let pass then and only then, and shown.

use kvm_bindings::{kvm_run, KVM_INTERNAL_ERROR_EMULATION as EMULATION};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Counts when the host begins and ends to deny access to memory: odd in between.
#[derive(Default)]
pub struct Denials(AtomicU64);

/// Access is denied for as long as this lives.
pub struct Denied<'a>(&'a Denials);

/// A point in time, as far as denials go.
#[derive(Clone, Copy)]
pub struct Before(u64);

impl Denials {
    /// One at a time.
    pub fn begin(&self) -> Denied<'_> {
        let before = self.0.fetch_add(1, SeqCst);
        assert!(before % 2 == 0, "who denies access holds a lock");
        Denied(self)
    }

    /// Now.
    pub fn now(&self) -> Before {
        Before(self.0.load(SeqCst))
    }

    /// Whether access was denied at any moment from then on.
    pub fn any_since(&self, Before(then): Before) -> bool {
        then % 2 == 1 || self.0.load(SeqCst) != then
    }
}

impl Drop for Denied<'_> {
    fn drop(&mut self) {
        self.0 .0.fetch_add(1, SeqCst);
    }
}

/// What KVM_EXIT_INTERNAL_ERROR comes with.
pub struct InternalError {
    suberror: u32,
    data: Vec<u64>,
}

impl InternalError {
    /// Of a KVM_RUN that has just ended with it.
    pub fn of(run: &kvm_run) -> Self {
        // SAFETY: the kernel has filled in this part of the union; it consists of numbers.
        let internal = unsafe { run.__bindgen_anon_1.internal };
        let data = internal.data.iter().take(internal.ndata as usize);
        Self {
            suberror: internal.suberror,
            data: data.copied().collect(),
        }
    }

    /// Whether KVM's emulator gave up.
    pub fn is_emulation(&self) -> bool {
        self.suberror == EMULATION
    }
}

impl fmt::Display for InternalError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { suberror, data } = self;
        // For emulation: flags, the instruction's size and bytes, then the exit as hardware saw it.
        write!(to, "internal error {suberror}, data {data:x?}")
    }
}
