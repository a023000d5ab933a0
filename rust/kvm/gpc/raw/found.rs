// SPDX-License-Identifier: GPL-2.0

//! The host's page for a cache, as a look-up finds it.

use super::{
    cache::RefreshLock,
    mapping::Mapping,
    task::Sleeper, //
};
use core::{
    mem::ManuallyDrop,
    ptr, //
};
use kvm_bindings as bindings;

/// A page that was looked up, with the reference that was taken.
///
/// # Invariants
///
/// `pfn` is not an error. `page` is null, or the value owns a reference to it.
pub(in crate::kvm::gpc) struct FoundPage {
    pfn: u64,
    page: *mut kernel::bindings::page,
}

impl FoundPage {
    /// Looks up the page at the cache's place, to be written to. `None` if there is none. The host makes
    /// it present, which sleeps.
    pub(in crate::kvm::gpc) fn look_up(
        cache: &RefreshLock<'_>,
        _task: &mut Sleeper<'_>,
    ) -> Option<Self> {
        let mut page = ptr::null_mut();
        // SAFETY: `refresh_lock` is held, so that the place stays, and a `Sleeper` is in the VM's address
        // space. The look-up goes by the host's address alone.
        let pfn = unsafe { bindings::kvmrs_gpc_look_up(cache.as_ptr(), &raw mut page) };
        // SAFETY: No requirements.
        let failed = unsafe { bindings::kvmrs_is_error_noslot_pfn(pfn) };
        // INVARIANT: C has taken a reference if it says which page it is.
        (!failed).then_some(Self { pfn, page })
    }

    /// Maps it in the kernel. `None` if that fails. Sleeps.
    pub(in crate::kvm::gpc) fn map(&self) -> Option<Mapping> {
        // SAFETY: By the type's invariant the frame is not an error. If it has a reference count, the
        // value has a reference.
        unsafe { Mapping::new(self.pfn) }
    }

    /// Whether that is what `mapping` is.
    pub(in crate::kvm::gpc) fn is_mapped_by(&self, mapping: &Mapping) -> bool {
        mapping.pfn() == self.pfn
    }

    /// Drops the reference to a page that is in use: the notifier takes it away when it has to.
    pub(in crate::kvm::gpc) fn release(self) {
        // SAFETY: By the type's invariant there is no page, or the value owns a reference to it, which is given up.
        unsafe { bindings::kvm_release_page_clean(ManuallyDrop::new(self).page) };
    }
}

impl Drop for FoundPage {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant there is no page, or the value owns a reference to it, which ends.
        unsafe { bindings::kvmrs_release_page_unused(self.page) };
    }
}
