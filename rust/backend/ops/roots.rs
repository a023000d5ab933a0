// SPDX-License-Identifier: GPL-2.0

//! Roots: the TDP MMU's own beginning and end, and that of each tree of page tables.

use crate::{
    kvm::{
        Exclusive,
        MmuLock,
        Root,
        SlotsLocked,
        Vcpu,
        Vm, //
    },
    tdp_mmu, //
};
use kvm_bindings as bindings;

/// Prepares a new VM for roots (`kvm_mmu_init_tdp_mmu`).
///
/// # Safety
///
/// `kvm` is a live VM under construction that nobody else uses.
pub(in crate::backend) unsafe extern "C" fn init(kvm: *mut bindings::kvm) {
    // SAFETY: The VM is live, and nobody else uses it.
    unsafe { Vm::from_raw(kvm).init_roots() };
}

/// Zaps and frees what is left of a VM's page tables (`kvm_mmu_uninit_tdp_mmu`).
///
/// # Safety
///
/// `kvm` is a live VM that nobody else uses. No locks are held; may sleep.
pub(in crate::backend) unsafe extern "C" fn uninit(kvm: *mut bindings::kvm) {
    // SAFETY: The VM is live, and has no users but this one.
    tdp_mmu::roots::uninit(&unsafe { SlotsLocked::last_user(Vm::from_raw(kvm)) });
}

/// Loads a root for the vCPU's present role, a new one if there is none (`kvm_tdp_mmu_alloc_root`).
///
/// # Safety
///
/// `vcpu` is a current vCPU with filled memory caches. `mmu_lock` is not held.
pub(in crate::backend) unsafe extern "C" fn alloc_root(vcpu: *mut bindings::kvm_vcpu) {
    // SAFETY: The vCPU is current.
    tdp_mmu::roots::load_root(unsafe { Vcpu::from_raw(vcpu) });
}

/// Puts a reference to a root (`kvm_tdp_mmu_put_root`).
///
/// # Safety
///
/// `kvm` is a live VM, `root` a root of it, and the caller gives up a reference that it owns.
/// `mmu_lock` is held for read.
pub(in crate::backend) unsafe extern "C" fn put_root(
    kvm: *mut bindings::kvm,
    root: *mut bindings::kvm_mmu_page,
) {
    // SAFETY: The VM is live, and the reference passes from the caller to the value.
    drop(unsafe { Root::from_raw(Vm::from_raw(kvm), root) });
}

/// Keeps vCPUs from using the present roots, and schedules these for zapping
/// (`kvm_tdp_mmu_invalidate_roots`).
///
/// # Safety
///
/// `kvm` is a live VM; `slots_lock` and `mmu_lock`, for write, are held.
pub(in crate::backend) unsafe extern "C" fn invalidate_roots(kvm: *mut bindings::kvm) {
    // SAFETY: The VM is live.
    let vm = unsafe { Vm::from_raw(kvm) };
    // SAFETY: `slots_lock` is held.
    let slots = unsafe { SlotsLocked::assume(vm) };
    // SAFETY: `mmu_lock` is held for write.
    unsafe { MmuLock::<Exclusive>::assume_held(vm) }.invalidate_roots(&slots);
}

/// Zaps the roots that were invalidated (`kvm_tdp_mmu_zap_invalidated_roots`).
///
/// # Safety
///
/// `kvm` is a live VM; `slots_lock` is held, `mmu_lock` is not.
pub(in crate::backend) unsafe extern "C" fn zap_invalidated_roots(
    kvm: *mut bindings::kvm,
    shared: bool,
) {
    // SAFETY: The VM is live.
    let vm = unsafe { Vm::from_raw(kvm) };
    // SAFETY: `slots_lock` is held.
    let slots = unsafe { SlotsLocked::assume(vm) };
    if shared {
        tdp_mmu::roots::zap_invalidated_roots(&mut *vm.mmu_read(), &slots);
    } else {
        tdp_mmu::roots::zap_invalidated_roots(&mut *vm.mmu_write(), &slots);
    }
}
