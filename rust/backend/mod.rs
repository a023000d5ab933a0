// SPDX-License-Identifier: GPL-2.0

//! The module's face to kvm.ko: registration, and the table of entry points.

mod ops;

use kernel::{
    error::to_result,
    prelude::*, //
};
use kvm_bindings as bindings;

/// The registered backend. While VMs use it they hold references to the module, so it cannot be
/// unloaded.
pub struct Registration(());

impl Registration {
    /// Makes the backend available to new VMs under the name "rust".
    ///
    /// `EBUSY` if another module's backend is registered.
    pub fn new() -> Result<Self> {
        // SAFETY: The table lives as long as the module, and unregistering precedes its end.
        to_result(unsafe { bindings::kvm_mmu_register_backend(ops::TABLE.as_ptr()) })?;
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
