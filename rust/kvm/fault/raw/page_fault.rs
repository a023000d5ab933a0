// SPDX-License-Identifier: GPL-2.0

//! `struct kvm_page_fault`, a page fault of a guest on its way through the MMU.

use super::vcpu::Vcpu;
use crate::kvm::{
    fault::outcome::Outcome,
    memory::{MemSlot, SlotsHeld},
    table::EntrySnapshot,
    trace,
    types::{Gfn, Level}, //
};
use kvm_bindings as bindings;

/// A `struct kvm_page_fault`: what the guest did.
///
/// # Invariants
///
/// `raw` is a fault of `vcpu`, valid for as long as the value exists, and nobody else uses it. Its slot,
/// if any, has its frame, and was found while `slots` were held. Its page, if any, comes with a
/// reference.
pub struct PageFault<'a> {
    pub(in crate::kvm::fault::raw) vcpu: &'a Vcpu,
    pub(in crate::kvm::fault::raw) raw: &'a mut bindings::kvm_page_fault,
    slots: &'a SlotsHeld<'a>,
}

impl<'a> PageFault<'a> {
    /// Borrows a fault from C.
    ///
    /// # Safety
    ///
    /// `ptr` must be a fault of `vcpu` for which no page was looked up yet, valid and in nobody else's
    /// use during `'a`; its slot must be that of its frame, found while `slots` were held.
    #[inline(always)]
    pub unsafe fn from_raw(
        vcpu: &'a Vcpu,
        ptr: *mut bindings::kvm_page_fault,
        slots: &'a SlotsHeld<'a>,
    ) -> Self {
        // SAFETY: The fault is valid during `'a`, and nobody else uses it.
        let raw = unsafe { &mut *ptr };
        // INVARIANT: `raw` borrows the fault of `vcpu`, which has no page, and the slot is that of its
        // frame, found while `slots` were held.
        Self { vcpu, raw, slots }
    }

    /// Whose fault it is.
    #[inline(always)]
    pub fn vcpu(&self) -> &'a Vcpu {
        self.vcpu
    }

    /// What keeps the memslots during the fault.
    #[inline(always)]
    pub fn slots(&self) -> &'a SlotsHeld<'a> {
        self.slots
    }

    /// The frame that was accessed.
    #[inline(always)]
    pub fn gfn(&self) -> Gfn {
        Gfn::new(self.raw.gfn)
    }

    /// The slot of the frame; `None` means emulated MMIO.
    #[inline(always)]
    pub fn slot(&self) -> Option<&'a MemSlot> {
        if self.raw.slot.is_null() {
            return None;
        }
        // SAFETY: By the type's invariant the slot was found while `slots` were held.
        Some(unsafe { self.slots.slot(self.raw.slot) })
    }

    /// Whether the guest did not ask for it (yet).
    #[inline(always)]
    pub fn is_prefetch(&self) -> bool {
        self.raw.prefetch
    }

    /// Whether it was a write.
    #[inline(always)]
    pub fn is_write(&self) -> bool {
        self.raw.write
    }

    /// Whether there was an entry, which did not permit the access.
    #[inline(always)]
    pub fn is_present(&self) -> bool {
        self.raw.present
    }

    /// Whether the entry had reserved bits, as MMIO entries do.
    #[inline(always)]
    pub fn is_reserved(&self) -> bool {
        self.raw.rsvd
    }

    /// Whether the guest takes the frame for private memory.
    #[inline(always)]
    pub fn is_private(&self) -> bool {
        self.raw.is_private
    }

    /// The error code, in `PFERR_*` bits.
    #[inline(always)]
    pub fn error_code(&self) -> u64 {
        self.raw.error_code
    }

    /// Reports to the tracepoint `fast_page_fault` what became of the fault at `at`, if it was resolved.
    #[inline(always)]
    pub fn trace_fast(&self, at: &EntrySnapshot<'_>, outcome: Option<Outcome>) {
        let ret = outcome.map_or(bindings::RET_PF_INVALID, Outcome::as_raw);
        let fault = (&raw const *self.raw).cast_mut();
        // SAFETY: The vCPU, the fault and the entry are there during the call, and only read.
        unsafe {
            trace::fast_page_fault(
                self.vcpu.as_ptr(),
                fault,
                at.cell.as_ptr(),
                at.spte.raw(),
                ret,
            )
        };
    }

    /// Whether writes to the frame are tracked.
    #[inline(always)]
    pub(in crate::kvm::fault) fn is_frame_write_tracked(&self) -> bool {
        // SAFETY: The VM is alive. By the type's invariant the slot is that of the frame, or NULL.
        unsafe {
            bindings::kvm_gfn_is_write_tracked(self.vcpu.vm().as_ptr(), self.raw.slot, self.raw.gfn)
        }
    }

    /// The highest level that it may be mapped at.
    #[inline(always)]
    pub(in crate::kvm::fault) fn max_level(&self) -> Level {
        Level::new(self.raw.max_level.into()).unwrap_or(Level::PG_4K)
    }

    /// Makes `level` the highest.
    #[inline(always)]
    pub(in crate::kvm::fault) fn limit_level(&mut self, level: Level) {
        self.raw.max_level = level.raw();
    }
}
