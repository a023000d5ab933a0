// SPDX-License-Identifier: GPL-2.0

//! The pages by which guests call.

use super::vm::tell_wall_clock;
use crate::{
    kvm::{
        gpc::PAGE_SIZE,
        xen::{Caller, Layout}, //
    },
    xen::{
        config::INTERCEPT_HCALL,
        page::{entry, ENTRY}, //
    },
};
use kernel::{
    ffi::c_int,
    prelude::*,
    uaccess::{UserPtr, UserSlice}, //
};
use kvm_bindings as bindings;

/// The guest's write is refused.
const REFUSED: c_int = 1;

/// A guest asks for a page of hypercalls (`kvm_xen_write_hypercall_page`). Returns 1 if it must not.
///
/// # Safety
///
/// `vcpu` is the current vCPU, whose exit the task handles, with its hold of `kvm->srcu`. May sleep.
pub(in crate::backend) unsafe extern "C" fn write_hypercall_page(
    vcpu: *mut bindings::kvm_vcpu,
    data: u64,
) -> c_int {
    // SAFETY: By the section above the task handles the exit of the vCPU, and holds `kvm->srcu` for it.
    let caller = unsafe { Caller::from_raw(vcpu) };
    let (number, address) = (data % PAGE_SIZE as u64, data - data % PAGE_SIZE as u64);
    let mode = caller.mode();
    if latch(&caller, mode).is_err() {
        return REFUSED;
    }
    if caller.vm().xen_flags() & INTERCEPT_HCALL == 0 {
        return bring_page(&caller, mode, number, address).map_or_else(|code| code, |()| 0);
    }
    let written = match number {
        0 => write_entries(&caller, address),
        _ => None,
    };
    written.map_or(REFUSED, |()| 0)
}

/// The guest has the layout of the mode that it asks in.
fn latch(caller: &Caller<'_>, mode: Layout) -> Result {
    let lock = caller.vm().xen_lock();
    if caller.vm().xen_layout() == mode {
        return Ok(());
    }
    lock.set_layout(mode);
    tell_wall_clock(&lock)
}

/// Instructions that come to KVM, for each call.
fn write_entries(caller: &Caller<'_>, address: u64) -> Option<()> {
    let call = caller.call_instruction();
    for number in 0..(PAGE_SIZE / ENTRY) as u32 {
        let at = address + u64::from(number) * ENTRY as u64;
        caller.write(at, &entry(number, call))?;
    }
    Some(())
}

/// A page that userspace has brought. Gives what KVM returns if there is none.
fn bring_page(caller: &Caller<'_>, mode: Layout, number: u64, address: u64) -> Result<(), c_int> {
    let (pages, count) = caller.vm().xen_lock().brought_pages(mode);
    if number >= count.into() {
        return Err(REFUSED);
    }
    let from = pages.wrapping_add(number * PAGE_SIZE as u64);
    let page = read_page(from as usize).map_err(|error| error.to_errno())?;
    caller.write(address, &page).ok_or(REFUSED)
}

fn read_page(address: usize) -> Result<KVec<u8>> {
    let mut page = KVec::new();
    let slice = UserSlice::new(UserPtr::from_addr(address), PAGE_SIZE);
    slice.read_all(&mut page, GFP_KERNEL_ACCOUNT)?;
    Ok(page)
}
