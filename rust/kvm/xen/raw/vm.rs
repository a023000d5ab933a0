// SPDX-License-Identifier: GPL-2.0

//! What all vCPUs of a Xen guest share.

use crate::kvm::{
    gpc::Gpc,
    memory::Vm,
    xen::Layout, //
};

impl Vm {
    /// The guest's layout. Another task may change it at any time.
    #[inline(always)]
    pub fn xen_layout(&self) -> Layout {
        // SAFETY: The VM is alive, and C writes the field as one byte, which is 0 or 1.
        let wide = unsafe { (&raw const (*self.as_ptr()).arch.xen.long_mode).read_volatile() };
        match wide {
            true => Layout::Native,
            false => Layout::Compat,
        }
    }

    /// The cache of the guest's `shared_info`.
    #[inline(always)]
    pub fn xen_shared_info(&self) -> &Gpc {
        // SAFETY: The VM is alive. C initialises the cache when it makes the VM, and keeps it as long.
        unsafe { Gpc::from_raw(&raw mut (*self.as_ptr()).arch.xen.shinfo_cache) }
    }
}
