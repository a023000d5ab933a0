// SPDX-License-Identifier: GPL-2.0

//! What all vCPUs of a Xen guest share, and what userspace sets of it.

use super::lock::XenLock;
use crate::kvm::{
    gpc::Gpc,
    memory::Vm,
    xen::Layout, //
};
use kvm_bindings as bindings;

impl Vm {
    #[inline(always)]
    fn xen(&self) -> *mut bindings::kvm_xen {
        // SAFETY: The VM is alive.
        unsafe { &raw mut (*self.as_ptr()).arch.xen }
    }

    /// The guest's layout. Another task may change it at any time.
    #[inline(always)]
    pub fn xen_layout(&self) -> Layout {
        // SAFETY: The VM is alive, and the field is written as one byte, which is 0 or 1.
        let wide = unsafe { (&raw const (*self.xen()).long_mode).read_volatile() };
        match wide {
            true => Layout::Native,
            false => Layout::Compat,
        }
    }

    /// The cache of the guest's `shared_info`.
    #[inline(always)]
    pub fn xen_shared_info(&self) -> &Gpc {
        // SAFETY: The VM is alive. C initialises the cache when it makes the VM, before userspace and vCPUs come,
        // and keeps it as long. Nobody else asks for it.
        unsafe { Gpc::from_raw(&raw mut (*self.xen()).shinfo_cache) }
    }

    /// The version of Xen that the guest is to see. 0 if userspace answers. Another task may change it.
    #[inline]
    pub fn xen_version(&self) -> u32 {
        // SAFETY: The VM is alive, and the field is one word.
        unsafe { (&raw const (*self.xen()).xen_version).read_volatile() }
    }

    /// Whether the guest wants to know when its copy of a run state is being written. As above.
    #[inline(always)]
    pub fn xen_announces(&self) -> bool {
        // SAFETY: As for the layout.
        unsafe { (&raw const (*self.xen()).runstate_update_flag).read_volatile() }
    }

    /// The vector that tells all vCPUs of events, or 0. As above.
    #[inline]
    pub fn xen_upcall_vector(&self) -> u8 {
        // SAFETY: The VM is alive, and the field is one byte.
        unsafe { (&raw const (*self.xen()).upcall_vector).read_volatile() }
    }

    /// What userspace has told KVM to do. As above.
    #[inline]
    pub fn xen_flags(&self) -> u32 {
        // SAFETY: The VM is alive, and the field is one word.
        unsafe { (&raw const (*self.xen()).hvm_config.flags).read_volatile() }
    }

    /// When the guest's clock was 0, in nanoseconds after 1970 began.
    pub fn wall_clock_epoch(&self) -> u64 {
        // SAFETY: The VM is alive.
        unsafe { bindings::kvm_get_wall_clock_epoch(self.as_ptr()) }
    }

    /// Userspace has configured this, which was looked at. Takes `xen_lock`. KVM counts the VMs that have an MSR for
    /// hypercall pages, and tells guests of their clocks anew if need be.
    pub fn configure_xen(&self, config: &bindings::kvm_xen_hvm_config) {
        // SAFETY: The VM is alive. The function only reads the configuration.
        unsafe { bindings::kvmrs_xen_configure(self.as_ptr(), config) };
    }
}

impl XenLock<'_> {
    /// The guest has this layout from now on.
    pub fn set_layout(&self, layout: Layout) {
        let wide = layout == Layout::Native;
        // SAFETY: The VM is alive, and the lock held. Others read the byte at the same time.
        unsafe { (&raw mut (*self.vm().xen()).long_mode).write_volatile(wide) };
    }

    /// The guest is to see this version of Xen.
    pub fn set_version(&self, version: u32) {
        // SAFETY: As above, for the word.
        unsafe { (&raw mut (*self.vm().xen()).xen_version).write_volatile(version) };
    }

    /// The guest wants to know when its copy of a run state is being written, or does not.
    pub fn set_announces(&self, announces: bool) {
        // SAFETY: As above, for the byte.
        unsafe {
            (&raw mut (*self.vm().xen()).runstate_update_flag).write_volatile(announces);
        }
    }

    /// The vector that tells all vCPUs of events, or 0.
    pub fn set_upcall_vector(&self, vector: u8) {
        // SAFETY: As above.
        unsafe { (&raw mut (*self.vm().xen()).upcall_vector).write_volatile(vector) };
    }

    /// The pages that userspace has brought for guests of that layout: where, and how many.
    pub fn brought_pages(&self, layout: Layout) -> (u64, u8) {
        // SAFETY: The VM is alive, and the lock held.
        unsafe {
            let config = &raw const (*self.vm().xen()).hvm_config;
            match layout {
                Layout::Native => ((*config).blob_addr_64, (*config).blob_size_64),
                Layout::Compat => ((*config).blob_addr_32, (*config).blob_size_32),
            }
        }
    }
}
