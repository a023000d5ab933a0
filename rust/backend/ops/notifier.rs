// SPDX-License-Identifier: GPL-2.0

//! The host's notifications about the memory behind a VM.
//!
//! These do not come through kvm.ko's hooks, which only say when the VM may register for them.

use crate::{
    kvm::{
        host::Listener,
        Vm, //
    },
    mm::{
        notifier::{Ended, MaySleep, Notifier, Released},
        HostRange, //
    },
    tdp_mmu::{
        notifier,
        visitor::GiveWay, //
    },
};
use kernel::{
    current,
    error::from_result,
    ffi::c_int,
    prelude::*, //
};
use kvm_bindings as bindings;

/// Registers the VM with the current task's address space (`kvm_init_mmu_notifier`).
///
/// # Safety
///
/// `kvm` is a live VM that the current task has just made. `uninit` is called if this succeeds, before
/// the VM's hook `destroy`.
pub(in crate::backend) unsafe extern "C" fn init(kvm: *mut bindings::kvm) -> c_int {
    // SAFETY: The VM is live.
    let vm = unsafe { Vm::from_raw(kvm) };
    from_result(|| {
        let task = current!();
        let mm = task.mm().ok_or(EINVAL)?;
        // SAFETY: `uninit` comes before the VM loses its state.
        unsafe { vm.listen(mm)? };
        Ok(0)
    })
}

/// Takes that back.
///
/// # Safety
///
/// `kvm` is a live VM that nobody uses but the host's notifications. No locks are held; may sleep.
pub(in crate::backend) unsafe extern "C" fn uninit(kvm: *mut bindings::kvm) {
    // SAFETY: The VM is live, and nobody uses it.
    unsafe { Vm::from_raw(kvm).mute() };
}

// x86 ages without `mmu_lock`, and leaves TLBs as they are.
const _: () = assert!(cfg!(CONFIG_KVM_MMU_LOCKLESS_AGING));
const _: () = assert!(cfg!(CONFIG_KVM_ELIDE_TLB_FLUSH_IF_YOUNG));

impl Notifier for Listener {
    #[inline(always)]
    fn invalidate_start(&self, range: HostRange, sleep: Option<MaySleep<'_>>) {
        // To give way is to sleep.
        let give_way = sleep.map_or(GiveWay::Never, |_| GiveWay::WhenAsked);
        notifier::start(self.vm(), range, give_way);
    }

    #[inline(always)]
    fn invalidate_end(&self, ended: Ended<'_>) {
        notifier::end(self.vm(), ended);
    }

    #[inline(always)]
    fn clear_flush_young(&self, range: HostRange) -> bool {
        notifier::clear_young(self.vm(), range)
    }

    #[inline(always)]
    fn clear_young(&self, range: HostRange) -> bool {
        notifier::clear_young(self.vm(), range)
    }

    #[inline(always)]
    fn test_young(&self, address: usize) -> bool {
        notifier::test_young(self.vm(), address)
    }

    #[inline(always)]
    fn release(&self, released: Released<'_>) {
        notifier::release(self.vm(), released);
    }
}
