// SPDX-License-Identifier: GPL-2.0

//! `struct kvm_page_fault`, a page fault of a guest on its way through the MMU.

use super::vcpu::Vcpu;
use crate::kvm::{
    lock::Mode,
    memory::{MemSlot, SlotsHeld},
    table::Link,
    trace,
    types::{Access, Gfn, Level, Pfn}, //
};
use kvm_bindings as bindings;

/// A `struct kvm_page_fault` whose pfn was looked up and found to be current under `mmu_lock`.
///
/// # Invariants
///
/// `raw` is valid for as long as the value exists, nobody else uses it, and `mmu_lock` of its VM is
/// held. Its slot, if any, was found while `slots` were held.
pub struct PageFault<'a> {
    raw: &'a mut bindings::kvm_page_fault,
    slots: &'a SlotsHeld<'a>,
}

/// What became of a fault, as the rest of KVM counts and acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Outcome {
    /// Let the CPU fault again.
    Retry = bindings::RET_PF_RETRY,
    /// Emulate the instruction: MMIO.
    Emulate = bindings::RET_PF_EMULATE,
    /// The frame is write-protected, and the fault was a write.
    WriteProtected = bindings::RET_PF_WRITE_PROTECTED,
    /// Mapped.
    Fixed = bindings::RET_PF_FIXED,
    /// Somebody else has mapped it already.
    Spurious = bindings::RET_PF_SPURIOUS,
    /// The root does not span the frame: an error for userspace.
    OutOfReach = -(kernel::bindings::EFAULT as i32),
}

impl<'a> PageFault<'a> {
    /// Borrows a fault from C.
    ///
    /// # Safety
    ///
    /// `ptr` must be valid and in nobody else's use during `'a`, in which `mmu_lock` of its VM is
    /// held; its slot must have been found while `slots` were held.
    #[inline(always)]
    pub unsafe fn from_raw(ptr: *mut bindings::kvm_page_fault, slots: &'a SlotsHeld<'a>) -> Self {
        // SAFETY: The fault is valid during `'a`, and nobody else uses it.
        let raw = unsafe { &mut *ptr };
        // INVARIANT: `raw` borrows the fault, `mmu_lock` is held, and the slot was found while `slots`
        // were.
        Self { raw, slots }
    }

    /// What keeps the memslots during the fault.
    #[inline(always)]
    pub fn slots(&self) -> &SlotsHeld<'a> {
        self.slots
    }

    /// The frame that was accessed.
    #[inline(always)]
    pub fn gfn(&self) -> Gfn {
        Gfn::new(self.raw.gfn)
    }

    /// The host frame to map; aligned to the goal level.
    #[inline(always)]
    pub fn pfn(&self) -> Pfn {
        Pfn::new(self.raw.pfn)
    }

    /// The level to map at.
    #[inline(always)]
    pub fn goal_level(&self) -> Level {
        Level::new(self.raw.goal_level.into()).unwrap_or(Level::PG_4K)
    }

    /// The level that would be mapped at but for the NX workaround.
    #[inline(always)]
    pub fn req_level(&self) -> Level {
        Level::new(self.raw.req_level.into()).unwrap_or(Level::PG_4K)
    }

    /// The slot of the frame; `None` means emulated MMIO.
    #[inline(always)]
    pub fn slot(&self) -> Option<&MemSlot> {
        if self.raw.slot.is_null() {
            return None;
        }
        // SAFETY: By the type's invariant.
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

    /// The error code, in `PFERR_*` bits.
    #[inline(always)]
    pub fn error_code(&self) -> u64 {
        self.raw.error_code
    }

    /// Whether the host lets the guest write.
    #[inline(always)]
    pub fn is_host_writable(&self) -> bool {
        self.raw.map_writable
    }

    /// Whether there must not be an executable huge page for this fault.
    #[inline(always)]
    pub(in crate::kvm::fault) fn is_huge_page_disallowed(&self) -> bool {
        self.raw.huge_page_disallowed
    }

    /// Tells the shadow MMU that `gfn`, which lies in `slot`, is about to become writable. Returns
    /// whether writes to it are tracked, so that it must not.
    #[inline(always)]
    pub(in crate::kvm::fault) fn is_write_tracked(
        &self,
        vcpu: &Vcpu,
        slot: &MemSlot,
        gfn: Gfn,
    ) -> bool {
        // SAFETY: All are alive. `must_write_protect()` has seen that the slot counts who tracks `gfn`.
        // The fault is handled with `mmu_lock` held.
        unsafe {
            bindings::mmu_try_to_unsync_pages(
                vcpu.vm().as_ptr(),
                slot.as_ptr(),
                gfn.raw(),
                false,
                self.raw.prefetch,
            ) != 0
        }
    }

    /// Chooses the levels, going by the slot, the host's mapping and the NX workaround.
    #[inline(always)]
    pub fn adjust_level(&mut self, vcpu: &Vcpu) {
        // SAFETY: Both are valid, and `mmu_lock` is held.
        unsafe { bindings::kvm_mmu_hugepage_adjust(vcpu.as_ptr(), self.raw) };
    }

    /// Steps below `link` instead of replacing it if the table it links must stay, because it maps
    /// executable small pages under the NX workaround.
    #[inline(always)]
    pub fn adjust_for_nx<M: Mode>(&mut self, link: &Link<'_, M>) {
        if !self.raw.nx_huge_page_workaround_enabled {
            return;
        }
        // SAFETY: `link` proves that the value is that of a link to a table that is still there.
        unsafe {
            bindings::disallowed_hugepage_adjust(
                self.raw,
                link.spte().raw(),
                link.level().raw().into(),
            )
        };
    }

    /// Reports to the tracepoint `kvm_mmu_spte_requested`.
    #[inline(always)]
    pub fn trace(&mut self, access: Access) {
        // SAFETY: The fault is valid, and C has just chosen its goal. All access bits fit a byte.
        unsafe { trace::spte_requested(self.raw, access.raw() as u8) };
    }
}
