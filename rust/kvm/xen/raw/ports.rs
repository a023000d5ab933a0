// SPDX-License-Identifier: GPL-2.0

//! `kvm->arch.xen.evtchn_ports`: what the guest's ports lead to.
//!
//! Who holds `xen_lock` changes the table. Who holds `kvm->srcu` may use what is in it. So what was taken away is
//! freed when all have ended that held `kvm->srcu` by then. Nobody may wait for them with `xen_lock`, as one of
//! them may want it: who waits gives the lock up first.

use super::lock::XenLock;
use crate::kvm::{
    memory::{SlotsHeld, Vm},
    xen::Assigned, //
};
use core::ptr::NonNull;
use kernel::{
    alloc::AllocError,
    error::to_result,
    ffi::c_int,
    prelude::*,
    types::Opaque, //
};
use kvm_bindings as bindings;

/// What the table has for a port.
#[repr(C)]
struct Entry {
    /// For who waits until nobody uses the entry.
    head: Opaque<kernel::bindings::callback_head>,
    assigned: Assigned,
}

impl Entry {
    fn new(assigned: Assigned) -> Result<KBox<Self>, AllocError> {
        let head = Opaque::zeroed();
        KBox::new(Self { head, assigned }, GFP_KERNEL_ACCOUNT)
    }
}

impl<'vm> XenLock<'vm> {
    /// What the port of that number leads to.
    pub fn assigned(&self, number: u32) -> Option<&Assigned> {
        find(self.vm(), number).map(|entry| {
            // SAFETY: The lock is held for as long as `self` is borrowed. Nobody takes the entry away without it.
            unsafe { &(*entry.as_ptr()).assigned }
        })
    }

    /// The port of that number leads to `to` from now on. `EEXIST` if it leads somewhere.
    pub fn assign(&self, number: u32, to: Assigned) -> Result {
        let entry = KBox::into_raw(Entry::new(to)?);
        // SAFETY: The VM is alive, and `self` is a hold of the lock.
        let added = unsafe {
            bindings::kvmrs_xen_port_add(self.vm().as_ptr(), number as c_int, entry.cast())
        };
        if added < 0 {
            // SAFETY: It came from `into_raw()` above, and the table has refused it.
            drop(unsafe { KBox::from_raw(entry) });
        }
        match to_result(added) {
            Err(error) if error == ENOSPC => Err(EEXIST),
            result => result,
        }
    }

    /// It leads to `to` from now on, and not to what it did before. `ENOENT` if it led nowhere.
    ///
    /// Who has looked before may still go by the old entry, as on C. So nobody waits for them. The lock is given up, by
    /// which somebody may have the old entry, too.
    pub fn replace(self, number: u32, to: Assigned) -> Result {
        let vm = self.vm().as_ptr();
        let entry = Entry::new(to)?;
        let old = find(self.vm(), number).ok_or(ENOENT)?;
        // SAFETY: The VM is alive, and `self` is a hold of the lock. There is something to replace, which is a box
        // that the table has no more then. `free_xen_ports()` waits for what frees it.
        unsafe {
            let entry = KBox::into_raw(entry).cast();
            bindings::kvmrs_xen_port_replace(vm, number as c_int, entry);
            let head = (*old.as_ptr()).head.get();
            kernel::bindings::call_srcu(&raw mut (*vm).srcu, head, Some(free));
        }
        Ok(())
    }

    /// It leads nowhere from now on, and nobody goes by the entry any more. `ENOENT` if it did not before.
    pub fn remove(self, number: u32) -> Result {
        let vm = self.vm();
        let old = find(vm, number).ok_or(ENOENT)?;
        // SAFETY: The VM is alive, and `self` is a hold of the lock, with which the entry was found. All entries are
        // boxes.
        let old = unsafe {
            bindings::kvmrs_xen_port_remove(vm.as_ptr(), number as c_int);
            KBox::from_raw(old.as_ptr())
        };
        drop(self);
        wait_for_users(vm);
        drop(old);
        Ok(())
    }

    /// No port leads anywhere from now on, and nobody goes by an entry any more.
    pub fn remove_all(self) -> Result {
        let vm = self.vm();
        let mut old = KVec::with_capacity(self.count(), GFP_KERNEL_ACCOUNT)?;
        let mut number = 0;
        while let Some(entry) = next(vm, &mut number) {
            // SAFETY: The VM is alive, and `self` is a hold of the lock, with which the entry was found. All entries
            // are boxes.
            let entry = unsafe {
                bindings::kvmrs_xen_port_remove(vm.as_ptr(), number);
                KBox::from_raw(entry.as_ptr())
            };
            // There is room for all.
            let _ = old.push_within_capacity(entry);
        }
        drop(self);
        if !old.is_empty() {
            wait_for_users(vm);
        }
        drop(old);
        Ok(())
    }

    fn count(&self) -> usize {
        let (mut number, mut count) = (0, 0);
        while next(self.vm(), &mut number).is_some() {
            (number, count) = (number + 1, count + 1);
        }
        count
    }
}

/// What the port of that number leads to, for a task that holds the VM's slots by `kvm->srcu`.
pub(super) fn find_assigned<'s>(slots: &'s SlotsHeld<'_>, number: u32) -> Option<&'s Assigned> {
    find(slots.vm(), number).map(|entry| {
        // SAFETY: `Caller` is what asks. By its invariant the task holds `kvm->srcu` for as long as `slots` is
        // borrowed. What was taken away is freed after that.
        unsafe { &(*entry.as_ptr()).assigned }
    })
}

impl Vm {
    /// The VM's last user gives the table up.
    ///
    /// # Safety
    ///
    /// Nobody else may use the VM.
    pub unsafe fn free_xen_ports(&self) {
        // What frees entries is code of this module, which may go with the VM.
        // SAFETY: The VM is alive.
        unsafe { kernel::bindings::srcu_barrier(&raw mut (*self.as_ptr()).srcu) };
        let mut number = 0;
        while let Some(entry) = next(self, &mut number) {
            // SAFETY: The VM is alive, and by the section above nobody else uses it. All entries are boxes.
            unsafe {
                bindings::kvmrs_xen_port_remove(self.as_ptr(), number);
                drop(KBox::from_raw(entry.as_ptr()));
            }
        }
    }
}

/// Frees an entry that nobody uses any more.
///
/// # Safety
///
/// `head` must be that of a boxed entry, which is given up.
unsafe extern "C" fn free(head: *mut kernel::bindings::callback_head) {
    // SAFETY: By the section above `head` is that of a boxed entry, which is given up. The entry begins with it.
    drop(unsafe { KBox::from_raw(head.cast::<Entry>()) });
}

/// Waits until nobody uses what the table of `vm` has no more.
fn wait_for_users(vm: &Vm) {
    // SAFETY: The VM is alive.
    unsafe { kernel::bindings::synchronize_srcu(&raw mut (*vm.as_ptr()).srcu) };
}

fn find(vm: &Vm, number: u32) -> Option<NonNull<Entry>> {
    // SAFETY: The VM is alive. The function reads the table under RCU.
    let entry = unsafe { bindings::kvmrs_xen_port_find(vm.as_ptr(), number as c_int) };
    NonNull::new(entry.cast())
}

/// The first entry from `number` on, which becomes its number.
fn next(vm: &Vm, number: &mut c_int) -> Option<NonNull<Entry>> {
    // SAFETY: The VM is alive. A `XenLock` is what asks, or the VM's last user: nobody else changes the table.
    let entry = unsafe { bindings::kvmrs_xen_port_next(vm.as_ptr(), number) };
    NonNull::new(entry.cast())
}
