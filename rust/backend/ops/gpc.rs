// SPDX-License-Identifier: GPL-2.0

//! Pfn caches of a VM on this backend: `kvm_gpc_*()` of `virt/kvm/pfncache.c`.
//!
//! Beside what holds for every hook: *A cache* is one that C has initialised for a live VM. C does not touch
//! it meanwhile, but for what it reads without a lock, and keeps it until it has called `deactivate`.

use crate::{
    kvm::{
        gpc::{Address, Gpc, Refused, Sleeper},
        SlotsHeld,
        Vm, //
    },
    pfncache::{
        pvclock,
        refresh, //
    },
};
use kernel::{
    error::{from_result, Error},
    ffi::{c_int, c_uint, c_ulong},
    prelude::*, //
};
use kvm_bindings as bindings;

impl From<Refused> for Error {
    fn from(why: Refused) -> Self {
        match why {
            Refused::Inactive | Refused::Length => EINVAL,
            Refused::NoPage => EFAULT,
            Refused::Killed => EINTR,
            Refused::Foreign => EIO,
        }
    }
}

/// Calls `look` with a task that may sleep, in a section of its own for the memory slots.
fn sleeping(vm: &Vm, look: impl FnOnce(&mut Sleeper<'_>) -> Result<(), Refused>) -> Result<c_int> {
    vm.hold_slots(|slots| look(&mut Sleeper::new(slots)?))?;
    Ok(0)
}

/// Makes a cache valid at another address, be it in use or not.
///
/// # Safety
///
/// `gpc` is a cache. One of `gpa` and `uhva` is the value for none. May sleep.
pub(in crate::backend) unsafe extern "C" fn activate(
    gpc: *mut bindings::gfn_to_pfn_cache,
    gpa: u64,
    uhva: c_ulong,
    len: c_ulong,
) -> c_int {
    // SAFETY: `gpc` is a cache, as the section above says.
    let cache = unsafe { Gpc::from_raw(gpc) };
    let address = match gpa {
        bindings::INVALID_GPA => Address::Host(uhva),
        gpa => Address::Guest(gpa),
    };
    from_result(|| {
        sleeping(cache.vm(), |task| {
            refresh::activate(cache, address, len, task)
        })
    })
}

/// Makes a cache valid again.
///
/// # Safety
///
/// `gpc` is a cache, in use or not. May sleep.
pub(in crate::backend) unsafe extern "C" fn refresh(
    gpc: *mut bindings::gfn_to_pfn_cache,
    len: c_ulong,
) -> c_int {
    // SAFETY: `gpc` is a cache, as the section above says.
    let cache = unsafe { Gpc::from_raw(gpc) };
    from_result(|| sleeping(cache.vm(), |task| refresh::refresh(cache, len, task)))
}

/// Ends the use of a cache.
///
/// # Safety
///
/// `gpc` is a cache, in use or not. May sleep.
pub(in crate::backend) unsafe extern "C" fn deactivate(gpc: *mut bindings::gfn_to_pfn_cache) {
    // SAFETY: `gpc` is a cache, as the section above says.
    refresh::deactivate(unsafe { Gpc::from_raw(gpc) });
}

/// Writes the guest's clock; returns whether it did (`kvm_setup_guest_pvclock`).
///
/// # Safety
///
/// `gpc` is a cache, `clock` can be read and written and is the task's alone, and `kvm->srcu` is held. May sleep.
pub(in crate::backend) unsafe extern "C" fn write_pvclock(
    gpc: *mut bindings::gfn_to_pfn_cache,
    offset: c_uint,
    clock: *mut bindings::pvclock_vcpu_time_info,
) -> bool {
    // SAFETY: `gpc` is a cache, as the section above says.
    let cache = unsafe { Gpc::from_raw(gpc) };
    // SAFETY: `kvm->srcu` is held.
    let mut slots = unsafe { SlotsHeld::assume(cache.vm()) };
    // SAFETY: By the section above the clock is the task's alone. It consists of such words, as the build checks.
    let clock = unsafe { &mut *clock.cast::<pvclock::Clock>() };
    pvclock::write(cache, &mut slots, offset as usize, clock)
}
