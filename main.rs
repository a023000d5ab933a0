// SPDX-License-Identifier: GPL-2.0

//! A memory-safe TDP MMU for KVM.

use kernel::prelude::*;

module! {
    type: KvmRs,
    name: "kvm_rs",
    authors: ["kvm_rs developers"],
    description: "Memory-safe TDP MMU for KVM",
    license: "GPL",
}

struct KvmRs;

impl kernel::Module for KvmRs {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}
