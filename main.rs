// SPDX-License-Identifier: GPL-2.0

//! kvm_rs: a memory-safe MMU for KVM x86.
//!
//! kvm.ko decides VM by VM who runs it: its own C code, or the backend registered here, which
//! brings a TDP MMU, pfn caches, and a part of what Xen guests need. Data flows one way: kvm.ko ->
//! [`backend`] -> [`tdp_mmu`], or `xen` and [`pfncache`] -> [`kvm`] -> [`mm`], [`sync`] -> kernel.
//! Only the crate's `rust/` directory may contain `unsafe`.

use kernel::prelude::*;

#[path = "rust/backend/mod.rs"]
pub mod backend;
#[path = "rust/kvm/mod.rs"]
pub mod kvm;
#[path = "rust/mm/mod.rs"]
pub mod mm;
pub mod pfncache;
#[path = "rust/sync/mod.rs"]
pub mod sync;
pub mod tdp_mmu;
#[cfg(CONFIG_KVM_XEN)]
pub mod xen;

module! {
    type: KvmRs,
    name: "kvm_rs",
    authors: ["kvm_rs developers"],
    description: "Memory-safe TDP MMU for KVM",
    license: "GPL",
}

struct KvmRs {
    _backend: backend::Registration,
}

impl kernel::Module for KvmRs {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let backend = backend::Registration::new().inspect_err(|_| {
            pr_err!("cannot register: kvm.ko has another VM backend already\n");
        })?;
        pr_info!("ready; \"rust\" in kvm.ko's parameter mmu_backend makes new VMs use it\n");
        Ok(Self { _backend: backend })
    }
}
