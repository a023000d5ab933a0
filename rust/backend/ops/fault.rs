// SPDX-License-Identifier: GPL-2.0

//! Page faults, and what vCPUs look up in their page tables.

use crate::{
    kvm::{
        Gfn,
        Level,
        PageFault,
        SlotsHeld,
        Vcpu, //
    },
    sync::rcu::CallerHolds,
    tdp_mmu, //
};
use kernel::ffi::c_int;
use kvm_bindings as bindings;

/// Handles a fault from its start to its end (`kvm_tdp_mmu_page_fault`).
///
/// # Safety
///
/// `vcpu` is a current vCPU, and `fault` is its fault, for which no page was looked up. `kvm->srcu` is
/// held, and the fault's slot was found under it. The task may sleep.
pub(in crate::backend) unsafe extern "C" fn page_fault(
    vcpu: *mut bindings::kvm_vcpu,
    fault: *mut bindings::kvm_page_fault,
) -> c_int {
    // SAFETY: The vCPU is current.
    let vcpu = unsafe { Vcpu::from_raw(vcpu) };
    // SAFETY: `kvm->srcu` is held.
    let slots = unsafe { SlotsHeld::assume(vcpu.vm()) };
    // SAFETY: The fault is the vCPU's, without a page. Its slot was found under the `kvm->srcu` that is
    // held still.
    let fault = unsafe { PageFault::from_raw(vcpu, fault, &slots) };
    tdp_mmu::fault::page_fault(fault).as_raw()
}

/// Reads the entries on the way to `addr`; returns the level of the last, -1 if there is no root or
/// it does not span `addr` (`kvm_tdp_mmu_get_walk`).
///
/// # Safety
///
/// `vcpu` is a current vCPU, and an RCU read-side section is open. `sptes` has room for an entry
/// of each level, indexed by level; `root_level` can be written to.
pub(in crate::backend) unsafe extern "C" fn get_walk(
    vcpu: *mut bindings::kvm_vcpu,
    addr: u64,
    sptes: *mut u64,
    root_level: *mut c_int,
) -> c_int {
    // SAFETY: The vCPU is current.
    let vcpu = unsafe { Vcpu::from_raw(vcpu) };
    // SAFETY: The caller's RCU section is open until this function returns.
    let rcu = unsafe { CallerHolds::new() };
    let top = vcpu.root_role().level().map_or(0, Level::raw);
    // SAFETY: `root_level` can be written to.
    unsafe { *root_level = top.into() };

    let mut leaf = -1;
    if let Some(root) = vcpu.root() {
        tdp_mmu::lookup::for_each_on_path(&rcu, &root, Gfn::of_addr(addr), |place| {
            leaf = place.level.raw().into();
            // SAFETY: `sptes` has room for each level.
            unsafe { *sptes.add(place.level.raw().into()) = place.spte.raw() };
        });
    }
    leaf
}
