// SPDX-License-Identifier: GPL-2.0

//! What userspace sets and asks for of VMs.

use super::{
    ports,
    settings::{counts_delays, own_address, FIRST_VECTOR}, //
};
use crate::{
    kvm::{
        gpc::{Address, Sleeper, PAGE_SIZE},
        xen::{Layout, XenLock},
        SlotsHeld,
        Vm, //
    },
    pfncache::refresh::{activate, deactivate, place},
    xen::{
        config::{Config, Invalid},
        wallclock, //
    },
};
use kernel::{
    error::{from_result, Error},
    ffi::c_int,
    prelude::*, //
};
use kvm_bindings as bindings;

type Attribute = bindings::kvm_xen_hvm_attr;

impl From<Invalid> for Error {
    fn from(_: Invalid) -> Self {
        EINVAL
    }
}

/// Userspace says what KVM is to do for a VM (`kvm_xen_hvm_config`).
///
/// # Safety
///
/// `kvm` is a live VM, and `config` can be read, and is changed by nobody. May sleep.
pub(in crate::backend) unsafe extern "C" fn hvm_config(
    kvm: *mut bindings::kvm,
    config: *mut bindings::kvm_xen_hvm_config,
) -> c_int {
    // SAFETY: The VM is live, and by the section above the configuration can be read, and does not change.
    let (vm, said) = unsafe { (Vm::from_raw(kvm), &*config) };
    from_result(|| configure(vm, said).map(|()| 0))
}

fn configure(vm: &Vm, said: &bindings::kvm_xen_hvm_config) -> Result {
    let (narrow, wide) = (said.blob_addr_32, said.blob_addr_64);
    let pages = said.blob_size_32 != 0 || said.blob_size_64 != 0;
    let config = Config {
        flags: said.flags,
        msr: said.msr,
        has_pages: narrow != 0 || wide != 0 || pages,
    };
    config.check()?;
    vm.configure_xen(said);
    Ok(())
}

/// Userspace sets something of a VM (`kvm_xen_hvm_set_attr`).
///
/// # Safety
///
/// `kvm` is a live VM, and `data` can be read, and is changed by nobody. May sleep.
pub(in crate::backend) unsafe extern "C" fn hvm_set_attr(
    kvm: *mut bindings::kvm,
    data: *mut Attribute,
) -> c_int {
    // SAFETY: The VM is live, and by the section above the attribute can be read, and does not change.
    let (vm, attribute) = unsafe { (Vm::from_raw(kvm), &*data) };
    from_result(|| set(vm, attribute).map(|()| 0))
}

fn set(vm: &Vm, attribute: &Attribute) -> Result {
    let what = &attribute.u;
    // SAFETY: All parts of the union are numbers, for which any bits will do.
    let (byte, gfn, hva, version, evtchn) = unsafe {
        (
            what.long_mode,
            what.shared_info.gfn,
            what.shared_info.hva,
            what.xen_version,
            &what.evtchn,
        )
    };
    match u32::from(attribute.type_) {
        bindings::KVM_XEN_ATTR_TYPE_LONG_MODE => set_layout(&vm.xen_lock(), byte != 0),
        bindings::KVM_XEN_ATTR_TYPE_SHARED_INFO => set_shared_info(vm, guest(gfn)),
        bindings::KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA => set_shared_info(vm, host(hva)?),
        bindings::KVM_XEN_ATTR_TYPE_UPCALL_VECTOR => set_vector(vm, byte),
        bindings::KVM_XEN_ATTR_TYPE_EVTCHN => ports::set(vm, evtchn),
        bindings::KVM_XEN_ATTR_TYPE_XEN_VERSION => {
            vm.xen_lock().set_version(version);
            Ok(())
        }
        bindings::KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG => {
            counts_delays()?;
            vm.xen_lock().set_announces(byte != 0);
            Ok(())
        }
        _ => Err(ENOENT),
    }
}

/// The wall clock has another place then.
fn set_layout(lock: &XenLock<'_>, wide: bool) -> Result {
    lock.set_layout(match wide {
        true => Layout::Native,
        false => Layout::Compat,
    });
    tell_wall_clock(lock)
}

/// Tells the guest, if it has the page.
pub(super) fn tell_wall_clock(lock: &XenLock<'_>) -> Result {
    let vm = lock.vm();
    let shared = vm.xen_shared_info();
    if !shared.is_active() {
        return Ok(());
    }
    let epoch = || vm.wall_clock_epoch();
    Ok(vm.hold_slots(|slots| wallclock::tell(shared, slots, vm.xen_layout(), epoch))?)
}

fn set_shared_info(vm: &Vm, address: Option<Address>) -> Result {
    let lock = vm.xen_lock();
    let shared = vm.xen_shared_info();
    match address {
        None => deactivate(shared),
        Some(address) => vm.hold_slots(|slots: &mut SlotsHeld<'_>| {
            activate(shared, address, PAGE_SIZE, &mut Sleeper::new(slots)?)
        })?,
    }
    tell_wall_clock(&lock)
}

/// A frame of the guest's, or the number for none.
fn guest(gfn: u64) -> Option<Address> {
    let shift = PAGE_SIZE.trailing_zeros();
    (gfn != bindings::KVM_XEN_INVALID_GFN).then_some(Address::Guest(gfn << shift))
}

/// A page of the task's own, or 0 for none.
fn host(hva: u64) -> Result<Option<Address>> {
    match hva as usize % PAGE_SIZE {
        0 => own_address(hva, PAGE_SIZE),
        _ => Err(EINVAL),
    }
}

fn set_vector(vm: &Vm, vector: u8) -> Result {
    if vector != 0 && vector < FIRST_VECTOR {
        return Err(EINVAL);
    }
    vm.xen_lock().set_upcall_vector(vector);
    Ok(())
}

/// Userspace asks for something of a VM (`kvm_xen_hvm_get_attr`).
///
/// # Safety
///
/// `kvm` is a live VM, and `data` can be read and written, and is the task's alone. May sleep.
pub(in crate::backend) unsafe extern "C" fn hvm_get_attr(
    kvm: *mut bindings::kvm,
    data: *mut Attribute,
) -> c_int {
    // SAFETY: The VM is live, and by the section above the attribute is the task's alone.
    let (vm, attribute) = unsafe { (Vm::from_raw(kvm), &mut *data) };
    let _lock = vm.xen_lock();
    from_result(|| get(vm, attribute).map(|()| 0))
}

fn get(vm: &Vm, attribute: &mut Attribute) -> Result {
    let what = &mut attribute.u;
    let shared = || place(vm.xen_shared_info());
    match u32::from(attribute.type_) {
        bindings::KVM_XEN_ATTR_TYPE_LONG_MODE => {
            what.long_mode = (vm.xen_layout() == Layout::Native).into();
        }
        bindings::KVM_XEN_ATTR_TYPE_SHARED_INFO => {
            what.shared_info.gfn = match shared() {
                Some(Address::Guest(gpa)) => gpa >> PAGE_SIZE.trailing_zeros(),
                _ => bindings::KVM_XEN_INVALID_GFN,
            };
        }
        bindings::KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA => {
            what.shared_info.hva = match shared() {
                Some(Address::Host(hva)) => hva as u64,
                _ => 0,
            };
        }
        bindings::KVM_XEN_ATTR_TYPE_UPCALL_VECTOR => what.vector = vm.xen_upcall_vector(),
        bindings::KVM_XEN_ATTR_TYPE_XEN_VERSION => what.xen_version = vm.xen_version(),
        bindings::KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG => {
            counts_delays()?;
            what.runstate_update_flag = vm.xen_announces().into();
        }
        _ => return Err(ENOENT),
    }
    Ok(())
}
