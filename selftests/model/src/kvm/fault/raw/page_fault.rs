// SPDX-License-Identifier: GPL-2.0

//! A page fault of a guest on its way through the MMU: what the guest did.

use super::{page::Page, vcpu::Vcpu};
use crate::kvm::{
    fault::outcome::Outcome,
    memory::{MemSlot, SlotsHeld},
    table::EntrySnapshot,
    types::{Gfn, Level, NxHugePage, Pfn},
};

/// The bits of error codes.
pub mod error {
    /// There is an entry.
    pub const PRESENT: u64 = 1 << 0;
    /// A write.
    pub const WRITE: u64 = 1 << 1;
    /// From user mode.
    pub const USER: u64 = 1 << 2;
    /// The entry has reserved bits.
    pub const RESERVED: u64 = 1 << 3;
    /// An instruction fetch.
    pub const FETCH: u64 = 1 << 4;
    /// The guest takes the memory for private.
    pub const PRIVATE: u64 = 1 << 49;
}

/// A fault whose page is known before it is looked up, for tests.
#[derive(Clone)]
#[allow(missing_docs)] // Named as in `struct kvm_page_fault`.
pub struct Request<'a> {
    pub gfn: Gfn,
    pub pfn: Pfn,
    pub slot: Option<&'a MemSlot>,
    pub error_code: u64,
    pub prefetch: bool,
    pub map_writable: bool,
    pub max_level: Level,
}

/// A page fault.
pub struct PageFault<'a> {
    pub(super) vcpu: &'a Vcpu,
    gfn: Gfn,
    pub(super) slot: Option<&'a MemSlot>,
    error_code: u64,
    prefetch: bool,
    slots: SlotsHeld<'a>,
    pub(super) given: Option<Page>,
    pub(super) page: Option<Page>,
    pub(super) max_level: Level,
    pub(super) req_level: Level,
    pub(super) goal_level: Level,
    pub(super) nx_workaround: bool,
    pub(super) nx_huge_page: NxHugePage,
}

impl<'a> PageFault<'a> {
    /// A fault of `vcpu` at `gfn`, in what its address space has there.
    pub fn at(vcpu: &'a Vcpu, gfn: Gfn, error_code: u64, prefetch: bool) -> Self {
        Self {
            vcpu,
            gfn,
            slot: vcpu.vm().slot(vcpu.root_role().address_space(), gfn),
            error_code,
            prefetch,
            slots: SlotsHeld::new(vcpu.vm()),
            given: None,
            page: None,
            max_level: Level::MAX_HUGEPAGE,
            req_level: Level::PG_4K,
            goal_level: Level::PG_4K,
            nx_workaround: vcpu.vm().nx_huge_pages(),
            nx_huge_page: NxHugePage::Allowed,
        }
    }

    /// The fault that `request` describes.
    pub fn new(vcpu: &'a Vcpu, request: Request<'a>) -> Self {
        let given = Page {
            pfn: request.pfn,
            writable: request.map_writable,
            // The test knows no more of it than its number.
            level: Level::MAX_HUGEPAGE,
        };
        Self {
            slot: request.slot,
            given: Some(given),
            max_level: request.max_level,
            ..Self::at(vcpu, request.gfn, request.error_code, request.prefetch)
        }
    }

    /// Whose fault it is.
    pub fn vcpu(&self) -> &'a Vcpu {
        self.vcpu
    }

    /// What keeps the memslots during the fault.
    pub fn slots(&self) -> &SlotsHeld<'a> {
        &self.slots
    }

    /// The frame that was accessed.
    pub fn gfn(&self) -> Gfn {
        self.gfn
    }

    /// The slot of the frame; `None` means emulated MMIO.
    pub fn slot(&self) -> Option<&'a MemSlot> {
        self.slot
    }

    /// Whether the guest did not ask for it (yet).
    pub fn is_prefetch(&self) -> bool {
        self.prefetch
    }

    /// Whether it was a write.
    pub fn is_write(&self) -> bool {
        self.error_code & error::WRITE != 0
    }

    /// Whether there was an entry.
    pub fn is_present(&self) -> bool {
        self.error_code & error::PRESENT != 0
    }

    /// Whether it had reserved bits.
    pub fn is_reserved(&self) -> bool {
        self.error_code & error::RESERVED != 0
    }

    /// Whether the guest takes the frame for private memory.
    pub fn is_private(&self) -> bool {
        self.error_code & error::PRIVATE != 0
    }

    /// The error code.
    pub fn error_code(&self) -> u64 {
        self.error_code
    }

    /// For a tracepoint.
    pub fn trace_fast(&self, _at: &EntrySnapshot<'_>, _outcome: Option<Outcome>) {}

    pub(in crate::kvm::fault) fn is_frame_write_tracked(&self) -> bool {
        self.slot.is_some() && self.vcpu.vm().is_write_tracked(self.gfn)
    }

    pub(in crate::kvm::fault) fn max_level(&self) -> Level {
        self.max_level
    }

    pub(in crate::kvm::fault) fn limit_level(&mut self, level: Level) {
        self.max_level = level;
    }
}
