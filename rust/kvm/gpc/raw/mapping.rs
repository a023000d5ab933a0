// SPDX-License-Identifier: GPL-2.0

//! The mapping of a page in the kernel.

use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};
use kvm_bindings as bindings;

/// A page that is mapped in the kernel. Unmapped with the value.
///
/// # Invariants
///
/// `base` is where `kvmrs_gpc_map()` has mapped `pfn`, and the value owns that mapping.
pub(in crate::kvm::gpc) struct Mapping {
    pfn: u64,
    base: NonNull<u8>,
}

impl Mapping {
    /// Maps a frame. `None` if that fails. Sleeps.
    ///
    /// # Safety
    ///
    /// `pfn` must be the frame of a page that was looked up and is still referenced.
    pub(super) unsafe fn new(pfn: u64) -> Option<Self> {
        // SAFETY: By the section above the frame is that of a page which is still referenced.
        let base = unsafe { bindings::kvmrs_gpc_map(pfn) };
        // INVARIANT: It was just mapped.
        NonNull::new(base.cast()).map(|base| Self { pfn, base })
    }

    /// The frame.
    pub(super) fn pfn(&self) -> u64 {
        self.pfn
    }

    /// Takes over a mapping that was given up.
    ///
    /// # Safety
    ///
    /// Both must come from [`into_raw`](Self::into_raw), once.
    pub(super) unsafe fn from_raw(pfn: u64, base: NonNull<u8>) -> Self {
        // INVARIANT: It was that of a mapping which was given up.
        Self { pfn, base }
    }

    /// Gives it up to who can make it a mapping again.
    pub(super) fn into_raw(self) -> (u64, NonNull<u8>) {
        let mapping = ManuallyDrop::new(self);
        (mapping.pfn, mapping.base)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant `pfn` is mapped at `base`, and the value owns the mapping.
        unsafe { bindings::kvmrs_gpc_unmap(self.pfn, self.base.as_ptr().cast()) };
    }
}
