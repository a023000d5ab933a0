// SPDX-License-Identifier: GPL-2.0

//! Page faults, and what vCPUs look up in their page tables.

use crate::{
    kvm::{
        spte::NONPRESENT,
        Context,
        Gfn,
        Level,
        MmuLock,
        Outcome,
        PageFault,
        Shared,
        SlotsHeld,
        Vcpu, //
    },
    sync::rcu::CallerHolds,
    tdp_mmu, //
};
use kernel::ffi::c_int;
use kvm_bindings as bindings;

/// Maps the page that a fault asks for (`kvm_tdp_mmu_map`).
///
/// # Safety
///
/// `vcpu` is a current vCPU with filled memory caches; `fault` is its fault, with a pfn that is
/// current. `mmu_lock` is held for read, and `kvm->srcu`, under which the fault's slot was found.
pub(in crate::backend) unsafe extern "C" fn map(
    vcpu: *mut bindings::kvm_vcpu,
    fault: *mut bindings::kvm_page_fault,
) -> c_int {
    // SAFETY: The vCPU is current.
    let vcpu = unsafe { Vcpu::from_raw(vcpu) };
    // SAFETY: `mmu_lock` is held for read.
    let lock = unsafe { MmuLock::<Shared>::assume_held(vcpu.vm()) };
    // SAFETY: `kvm->srcu` is held.
    let slots = unsafe { SlotsHeld::assume(vcpu.vm()) };
    // SAFETY: The slot was found under the `kvm->srcu` that is held still, and `mmu_lock` is held.
    let mut fault = unsafe { PageFault::from_raw(fault, &slots) };
    let outcome = match vcpu.root() {
        Some(root) => tdp_mmu::map::map(vcpu, &lock, &root, &mut fault),
        None => Outcome::Retry,
    };
    outcome as c_int
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

/// The last entry on the way to `gfn`, whose value goes to `spte`, for C's fast page-fault path
/// (`kvm_tdp_mmu_fast_pf_get_last_sptep`).
///
/// # Safety
///
/// `vcpu` is a current vCPU, and an RCU read-side section is open for as long as the result is used.
/// `spte` can be written to.
pub(in crate::backend) unsafe extern "C" fn fast_pf_get_last_sptep(
    vcpu: *mut bindings::kvm_vcpu,
    gfn: u64,
    spte: *mut u64,
) -> *mut u64 {
    // SAFETY: The vCPU is current.
    let vcpu = unsafe { Vcpu::from_raw(vcpu) };
    // SAFETY: The caller's RCU section outlasts this function.
    let rcu = unsafe { CallerHolds::new() };
    let mut last = core::ptr::null_mut();
    if let Some(root) = vcpu.root() {
        tdp_mmu::lookup::for_each_on_path(&rcu, &root, Gfn::new(gfn), |place| {
            last = place.cell.as_ptr();
            // SAFETY: `spte` can be written to.
            unsafe { *spte = place.spte.raw() };
        });
        if last.is_null() {
            // The root does not span the frame: an absent entry, which C does not write.
            if let Some((_, table)) = Context::enter(root.vm(), &rcu, &root) {
                last = table.cell(0).as_ptr();
                // SAFETY: `spte` can be written to.
                unsafe { *spte = NONPRESENT.raw() };
            }
        }
    }
    last
}
