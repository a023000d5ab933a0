// SPDX-License-Identifier: GPL-2.0

//! The module's face to kvm.ko: registration, and the tables of entry points.

mod abi;
mod ops;

use kernel::{
    error::to_result,
    ffi::c_ulong,
    prelude::*, //
};
use kvm_bindings as bindings;
#[cfg(CONFIG_KVM_XEN)]
use ops::xen;
use ops::{
    debugfs,
    fault,
    gpc,
    notifier,
    ranges,
    roots,
    slots,
    vm, //
};

/// The backend as kvm.ko wants it.
struct Backend(bindings::kvm_vm_backend);

// SAFETY: The value is never written.
unsafe impl Sync for Backend {}

const fn vm_type(kind: u32) -> c_ulong {
    1 << kind
}

/// All VM types but TDX: its private memory is mapped through mirror roots, which stay with C.
const VM_TYPES: c_ulong = vm_type(bindings::KVM_X86_DEFAULT_VM)
    | vm_type(bindings::KVM_X86_SW_PROTECTED_VM)
    | vm_type(bindings::KVM_X86_SEV_VM)
    | vm_type(bindings::KVM_X86_SEV_ES_VM)
    | vm_type(bindings::KVM_X86_SNP_VM);

static BACKEND: Backend = Backend(bindings::kvm_vm_backend {
    name: c"rust".to_bytes_with_nul().as_ptr(),
    owner: <crate::KvmRs as kernel::ModuleMetadata>::THIS_MODULE.as_ptr(),
    vm_types: VM_TYPES,
    vm: VM_OPS,
    mmu: MMU_OPS,
    notifier: NOTIFIER_OPS,
    gpc: GPC_OPS,
    #[cfg(CONFIG_KVM_XEN)]
    xen: XEN_OPS,
    debugfs: DEBUGFS_OPS,
});

const VM_OPS: bindings::kvm_backend_vm_ops = bindings::kvm_backend_vm_ops {
    create: Some(vm::create),
    destroy: Some(vm::destroy),
};

const MMU_OPS: bindings::kvm_backend_mmu_ops = bindings::kvm_backend_mmu_ops {
    init: Some(roots::init),
    uninit: Some(roots::uninit),
    alloc_root: Some(roots::alloc_root),
    put_root: Some(roots::put_root),
    invalidate_roots: Some(roots::invalidate_roots),
    zap_invalidated_roots: Some(roots::zap_invalidated_roots),
    page_fault: Some(fault::page_fault),
    get_walk: Some(fault::get_walk),
    unmap_gfn_range: Some(ranges::unmap_gfn_range),
    zap_leafs: Some(ranges::zap_leafs),
    zap_all: Some(ranges::zap_all),
    recover_nx_huge_pages: Some(ranges::recover_nx_huge_pages),
    wrprot_slot: Some(slots::wrprot_slot),
    clear_dirty_slot: Some(slots::clear_dirty_slot),
    clear_dirty_pt_masked: Some(slots::clear_dirty_pt_masked),
    harvest_dirty_log: Some(slots::harvest_dirty_log),
    rearm_dirty_log: Some(slots::rearm_dirty_log),
    write_protect_gfn: Some(slots::write_protect_gfn),
    try_split_huge_pages: Some(slots::try_split_huge_pages),
    recover_huge_pages: Some(slots::recover_huge_pages),
};

const NOTIFIER_OPS: bindings::kvm_backend_notifier_ops = bindings::kvm_backend_notifier_ops {
    init: Some(notifier::init),
    uninit: Some(notifier::uninit),
};

const GPC_OPS: bindings::kvm_backend_gpc_ops = bindings::kvm_backend_gpc_ops {
    activate: Some(gpc::activate),
    refresh: Some(gpc::refresh),
    deactivate: Some(gpc::deactivate),
    write_pvclock: Some(gpc::write_pvclock),
};

#[cfg(CONFIG_KVM_XEN)]
const XEN_OPS: bindings::kvm_backend_xen_ops = bindings::kvm_backend_xen_ops {
    update_runstate: Some(xen::update_runstate),
    set_evtchn: Some(xen::set_evtchn),
    set_evtchn_fast: Some(xen::set_evtchn_fast),
    inject_pending_events: Some(xen::inject_pending_events),
    inject_vcpu_vector: Some(xen::inject_vcpu_vector),
    has_interrupt: Some(xen::has_interrupt),
    timer_expired: Some(xen::timer_expired),
    inject_timer_irqs: Some(xen::inject_timer_irqs),
    hypercall: Some(xen::hypercall),
    write_hypercall_page: Some(xen::write_hypercall_page),
    setup_evtchn: Some(xen::setup_evtchn),
    hvm_evtchn_send: Some(xen::hvm_evtchn_send),
    hvm_config: Some(xen::hvm_config),
    hvm_set_attr: Some(xen::hvm_set_attr),
    hvm_get_attr: Some(xen::hvm_get_attr),
    vcpu_set_attr: Some(xen::vcpu_set_attr),
    vcpu_get_attr: Some(xen::vcpu_get_attr),
    destroy_vm: Some(xen::destroy_vm),
};

const DEBUGFS_OPS: bindings::kvm_backend_debugfs_ops = bindings::kvm_backend_debugfs_ops {
    open: Some(debugfs::open),
    read: Some(debugfs::read),
    release: Some(debugfs::release),
};

/// The registered backend. While VMs use it they hold references to the module, so it cannot be
/// unloaded.
pub struct Registration(());

impl Registration {
    /// Makes the backend available to new VMs under the name "rust".
    ///
    /// `EBUSY` if another module's backend is registered.
    pub fn new() -> Result<Self> {
        // SAFETY: The value lives as long as the module, and unregistering precedes its end.
        to_result(unsafe { bindings::kvm_register_vm_backend(&raw const BACKEND.0) })?;
        Ok(Self(()))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: Registered by `new()`. The module is being unloaded or failed to load, so it has
        // no references and there is no VM of ours.
        unsafe { bindings::kvm_unregister_vm_backend() };
        // The callbacks that free tables are code of this module.
        crate::sync::rcu::rcu_barrier();
    }
}
