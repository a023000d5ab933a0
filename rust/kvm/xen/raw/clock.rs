// SPDX-License-Identifier: GPL-2.0

//! The clocks of a guest and its host.

use super::runner::Runner;
use kvm_bindings as bindings;

/// One moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// On the host's monotonic clock, in nanoseconds.
    pub host: u64,
    /// On the guest's TSC.
    pub tsc: u64,
}

impl Runner {
    /// Whether the guest's clock goes by a TSC that is steady.
    pub fn has_steady_clock(&self) -> bool {
        // SAFETY: The VM is alive.
        unsafe { bindings::kvmrs_has_steady_clock(self.vm().as_ptr()) }
    }

    /// By how much TSC ticks are shifted and multiplied to be nanoseconds, as the guest was last told.
    pub fn ticks(&self) -> (i8, u32) {
        // SAFETY: By the type's invariant the current task has the vCPU, and nobody else changes the fields.
        unsafe {
            let arch = &raw const (*self.as_ptr()).arch;
            ((*arch).pvclock_tsc_shift, (*arch).pvclock_tsc_mul)
        }
    }

    /// This moment.
    pub fn moment(&self) -> Moment {
        let mut tsc = 0;
        // SAFETY: By the type's invariant the vCPU is there.
        let host = unsafe { bindings::kvmrs_host_clock(self.as_ptr(), &raw mut tsc) };
        Moment {
            host: host as u64,
            tsc,
        }
    }

    /// The time on the host's monotonic clock.
    pub fn host_now(&self) -> u64 {
        // SAFETY: No requirements.
        unsafe { kernel::bindings::ktime_get() as u64 }
    }
}
