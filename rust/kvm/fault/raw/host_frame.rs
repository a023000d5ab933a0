// SPDX-License-Identifier: GPL-2.0

//! The host frame that a fault maps.

use super::vcpu::Vcpu;
use crate::kvm::types::{
    Gfn,
    Pfn, //
};
use kvm_bindings as bindings;

/// What kind of memory a host frame is, found out when first asked.
pub struct HostFrame {
    pfn: Pfn,
    mmio: Option<bool>,
}

impl HostFrame {
    /// Nothing is known about `pfn` yet.
    #[inline(always)]
    pub fn new(pfn: Pfn) -> Self {
        Self { pfn, mmio: None }
    }

    /// Whether it is device memory of the host.
    #[inline]
    pub fn is_mmio(&mut self) -> bool {
        let pfn = self.pfn.raw();
        *self.mmio.get_or_insert_with(|| {
            // SAFETY: No requirements; a reserved page's `struct page` exists if the pfn is valid.
            unsafe {
                if bindings::kvmrs_pfn_valid(pfn) {
                    // Reserved pages that are cacheable, such as those of DAX, are memory.
                    bindings::kvmrs_pfn_is_reserved_page(pfn)
                        && bindings::kvmrs_pfn_is_uncached(pfn)
                } else {
                    !bindings::kvmrs_pfn_is_ram(pfn)
                }
            }
        })
    }

    /// The bits for the memory type in an entry that maps the frame at `gfn`; none on NPT.
    #[inline(always)]
    pub fn memory_type(&mut self, vcpu: &Vcpu, gfn: Gfn) -> u64 {
        if !vcpu.vm().state().has_memory_types() {
            return 0;
        }
        // SAFETY: The vCPU is alive, and its entries have a memory type.
        unsafe { bindings::kvm_mmu_get_memtype(vcpu.as_ptr(), gfn.raw(), self.is_mmio()).into() }
    }

    /// Takes note that the guest gets at host device memory through its present root, where that
    /// calls for clearing CPU buffers at VM entry.
    #[inline(always)]
    pub fn track_mmio_mapping(&mut self, vcpu: &Vcpu) {
        // SAFETY: The vCPU is alive and loaded.
        unsafe {
            if bindings::kvmrs_must_clear_cpu_buf_for_mmio()
                && !bindings::kvmrs_vcpu_can_access_host_mmio(vcpu.as_ptr())
                && self.is_mmio()
            {
                let sp = bindings::kvmrs_root_to_sp((*vcpu.mmu()).root.hpa);
                let flag = if sp.is_null() {
                    &raw mut (*(*vcpu.as_ptr()).kvm).arch.has_mapped_host_mmio
                } else {
                    &raw mut (*sp).has_mapped_host_mmio
                };
                flag.write_volatile(true);
                bindings::kvmrs_kick_all_vcpus_outside((*vcpu.as_ptr()).kvm);
            }
        }
    }
}
