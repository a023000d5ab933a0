// SPDX-License-Identifier: GPL-2.0

//! `kvm->arch.xen.evtchn_ports`: what the guest's ports lead to.
//!
//! Who holds `xen_lock` changes the table. Who holds `kvm->srcu` may use what is in it. So what was taken away is
//! freed when all have ended that held `kvm->srcu` by then. Nobody may wait for them with `xen_lock`, as one of
//! them may want it.

use super::{
    caller::Caller,
    lock::XenLock, //
};
use crate::kvm::{
    memory::{SlotsHeld, Vm},
    xen::Assigned, //
};
use core::ptr::NonNull;
use kernel::{
    alloc::AllocError,
    error::to_result,
    ffi::c_int,
    prelude::*, //
};
use kvm_bindings as bindings;

/// What was taken away from the table of a VM. Dropping it waits until nobody uses it.
///
/// # Invariants
///
/// The table does not have the entries any more.
#[must_use = "this waits at once if it is unused"]
pub struct Retired<'vm> {
    vm: &'vm Vm,
    entries: KVec<KBox<Assigned>>,
}

impl<'vm> Retired<'vm> {
    /// With room for `count`.
    fn new(vm: &'vm Vm, count: usize) -> Result<Self, AllocError> {
        let entries = KVec::with_capacity(count, GFP_KERNEL_ACCOUNT)?;
        Ok(Self { vm, entries })
    }

    /// # Safety
    ///
    /// `entry` must come from the table, which has it no more. There must be room.
    unsafe fn take(&mut self, entry: NonNull<Assigned>) {
        // SAFETY: What is in the table was a box. There is nobody else who frees it.
        let entry = unsafe { KBox::from_raw(entry.as_ptr()) };
        // There is room.
        let _ = self.entries.push_within_capacity(entry);
    }
}

impl Drop for Retired<'_> {
    fn drop(&mut self) {
        if !self.entries.is_empty() {
            // SAFETY: The VM is alive.
            unsafe { kernel::bindings::synchronize_srcu(&raw mut (*self.vm.as_ptr()).srcu) };
        }
    }
}

impl<'vm> XenLock<'vm> {
    /// What the port of that number leads to.
    pub fn assigned(&self, number: u32) -> Option<&Assigned> {
        find(self.vm(), number).map(|entry| {
            // SAFETY: The lock is held, so that the entry stays.
            unsafe { entry.as_ref() }
        })
    }

    /// The port of that number leads to `entry` from now on. `EEXIST` if it leads somewhere.
    pub fn assign(&self, number: u32, entry: Assigned) -> Result {
        let entry = KBox::into_raw(KBox::new(entry, GFP_KERNEL_ACCOUNT)?);
        // SAFETY: The VM is alive, and the lock held.
        let added = unsafe {
            bindings::kvmrs_xen_port_add(self.vm().as_ptr(), number as c_int, entry.cast())
        };
        if added < 0 {
            // SAFETY: The table has not taken it.
            drop(unsafe { KBox::from_raw(entry) });
        }
        match to_result(added) {
            Err(error) if error == ENOSPC => Err(EEXIST),
            result => result,
        }
    }

    /// It leads to `entry` from now on, and not to what it did before. `ENOENT` if it led nowhere.
    pub fn replace(self, number: u32, entry: Assigned) -> Result<Retired<'vm>> {
        let mut retired = Retired::new(self.vm(), 1)?;
        let entry = KBox::new(entry, GFP_KERNEL_ACCOUNT)?;
        let old = find(self.vm(), number).ok_or(ENOENT)?;
        let entry = KBox::into_raw(entry);
        // SAFETY: The VM is alive, and the lock held. There is something to replace.
        unsafe {
            bindings::kvmrs_xen_port_replace(self.vm().as_ptr(), number as c_int, entry.cast());
            retired.take(old);
        }
        Ok(retired)
    }

    /// It leads nowhere from now on. `ENOENT` if it did not before.
    pub fn remove(self, number: u32) -> Result<Retired<'vm>> {
        let mut retired = Retired::new(self.vm(), 1)?;
        let old = find(self.vm(), number).ok_or(ENOENT)?;
        // SAFETY: The VM is alive, and the lock held. The entry is there.
        unsafe {
            bindings::kvmrs_xen_port_remove(self.vm().as_ptr(), number as c_int);
            retired.take(old);
        }
        Ok(retired)
    }

    /// No port leads anywhere from now on.
    pub fn remove_all(self) -> Result<Retired<'vm>> {
        let mut retired = Retired::new(self.vm(), self.count())?;
        let mut number = 0;
        while let Some(entry) = next(self.vm(), &mut number) {
            // SAFETY: The VM is alive, and the lock held. The entry is there, and there is room for all.
            unsafe {
                bindings::kvmrs_xen_port_remove(self.vm().as_ptr(), number);
                retired.take(entry);
            }
        }
        Ok(retired)
    }

    fn count(&self) -> usize {
        let (mut number, mut count) = (0, 0);
        while next(self.vm(), &mut number).is_some() {
            (number, count) = (number + 1, count + 1);
        }
        count
    }
}

impl Caller<'_> {
    /// What the port of that number leads to.
    pub fn assigned<'s>(&self, _slots: &'s SlotsHeld<'_>, number: u32) -> Option<&'s Assigned> {
        find(self.vm(), number).map(|entry| {
            // SAFETY: The task holds `kvm->srcu`, and `sleep()`, which gives that up, needs `_slots` for itself.
            unsafe { entry.as_ref() }
        })
    }
}

impl Vm {
    /// The VM's last user gives the table up.
    ///
    /// # Safety
    ///
    /// Nobody else may use the VM.
    pub unsafe fn free_xen_ports(&self) {
        let mut number = 0;
        while let Some(entry) = next(self, &mut number) {
            // SAFETY: The VM is there, and nobody else uses the table. What is in it was a box.
            unsafe {
                bindings::kvmrs_xen_port_remove(self.as_ptr(), number);
                drop(KBox::from_raw(entry.as_ptr()));
            }
        }
    }
}

fn find(vm: &Vm, number: u32) -> Option<NonNull<Assigned>> {
    // SAFETY: The VM is alive. The function reads the table under RCU.
    let entry = unsafe { bindings::kvmrs_xen_port_find(vm.as_ptr(), number as c_int) };
    NonNull::new(entry.cast())
}

/// The first entry from `number` on, which becomes its number.
fn next(vm: &Vm, number: &mut c_int) -> Option<NonNull<Assigned>> {
    // SAFETY: The VM is alive. The caller keeps others from changing the table.
    let entry = unsafe { bindings::kvmrs_xen_port_next(vm.as_ptr(), number) };
    NonNull::new(entry.cast())
}
