// SPDX-License-Identifier: GPL-2.0

//! The module's face to kvm.ko: registration, and the table of entry points.

mod ops;

use kernel::{
    error::to_result,
    ffi::c_ulong,
    prelude::*, //
};
use kvm_bindings as bindings;

/// The table as kvm.ko wants it.
struct OpsTable(bindings::kvm_mmu_backend_ops);

// SAFETY: The table is never written.
unsafe impl Sync for OpsTable {}

impl OpsTable {
    fn as_ptr(&self) -> *const bindings::kvm_mmu_backend_ops {
        &self.0
    }
}

const fn vm_type(kind: u32) -> c_ulong {
    1 << kind
}

/// All VM types but TDX: its private memory is mapped through mirror roots, which stay with C.
const VM_TYPES: c_ulong = vm_type(bindings::KVM_X86_DEFAULT_VM)
    | vm_type(bindings::KVM_X86_SW_PROTECTED_VM)
    | vm_type(bindings::KVM_X86_SEV_VM)
    | vm_type(bindings::KVM_X86_SEV_ES_VM)
    | vm_type(bindings::KVM_X86_SNP_VM);

static TABLE: OpsTable = OpsTable(bindings::kvm_mmu_backend_ops {
    name: c"rust".to_bytes_with_nul().as_ptr(),
    owner: <crate::KvmRs as kernel::ModuleMetadata>::THIS_MODULE.as_ptr(),
    vm_types: VM_TYPES,
    init_vm: Some(ops::init_vm),
    uninit_vm: Some(ops::uninit_vm),
    alloc_root: Some(ops::alloc_root),
    put_root: Some(ops::put_root),
    invalidate_roots: Some(ops::invalidate_roots),
    zap_invalidated_roots: Some(ops::zap_invalidated_roots),
    map: Some(ops::map),
    get_walk: Some(ops::get_walk),
    fast_pf_get_last_sptep: Some(ops::fast_pf_get_last_sptep),
    unmap_gfn_range: Some(ops::unmap_gfn_range),
    age_gfn_range: Some(ops::age_gfn_range),
    test_age_gfn: Some(ops::test_age_gfn),
    zap_leafs: Some(ops::zap_leafs),
    zap_all: Some(ops::zap_all),
    zap_possible_nx_huge_page: Some(ops::zap_possible_nx_huge_page),
    wrprot_slot: Some(ops::wrprot_slot),
    clear_dirty_slot: Some(ops::clear_dirty_slot),
    clear_dirty_pt_masked: Some(ops::clear_dirty_pt_masked),
    write_protect_gfn: Some(ops::write_protect_gfn),
    try_split_huge_pages: Some(ops::try_split_huge_pages),
    recover_huge_pages: Some(ops::recover_huge_pages),
});

/// The registered backend. While VMs use it they hold references to the module, so it cannot be
/// unloaded.
pub struct Registration(());

impl Registration {
    /// Makes the backend available to new VMs under the name "rust".
    ///
    /// `EBUSY` if another module's backend is registered.
    pub fn new() -> Result<Self> {
        // SAFETY: The table lives as long as the module, and unregistering precedes its end.
        to_result(unsafe { bindings::kvm_mmu_register_backend(TABLE.as_ptr()) })?;
        Ok(Self(()))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: Registered by `new()`. The module is being unloaded or failed to load, so it has
        // no references and there is no VM of ours.
        unsafe { bindings::kvm_mmu_unregister_backend() };
        // The callbacks that free tables are code of this module.
        crate::sync::rcu::rcu_barrier();
    }
}
