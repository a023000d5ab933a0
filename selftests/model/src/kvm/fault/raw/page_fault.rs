// SPDX-License-Identifier: GPL-2.0

//! A page fault of a guest on its way through the MMU, with C's choice of levels.

use super::vcpu::Vcpu;
use crate::kvm::{
    lock::Mode,
    memory::{MemSlot, SlotsHeld},
    table::Link,
    types::{Access, Gfn, Level, NxHugePage, Pfn},
};

/// The access bits of error codes.
pub mod error {
    /// A write.
    pub const WRITE: u64 = 1 << 1;
    /// From user mode.
    pub const USER: u64 = 1 << 2;
    /// An instruction fetch.
    pub const FETCH: u64 = 1 << 4;
}

/// What C knows of a fault when it calls the TDP MMU.
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

/// A page fault whose pfn was looked up.
pub struct PageFault<'a> {
    request: Request<'a>,
    slots: SlotsHeld<'a>,
    req_level: Level,
    goal_level: Level,
    nx_workaround: bool,
    nx_huge_page: NxHugePage,
}

/// What became of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // See rust/kvm/fault/raw/page_fault.rs.
pub enum Outcome {
    Retry,
    Emulate,
    WriteProtected,
    Fixed,
    Spurious,
    OutOfReach,
}

impl<'a> PageFault<'a> {
    /// The fault that `request` describes.
    pub fn new(vcpu: &'a Vcpu, request: Request<'a>) -> Self {
        Self {
            request,
            slots: SlotsHeld::new(vcpu.vm()),
            req_level: Level::PG_4K,
            goal_level: Level::PG_4K,
            nx_workaround: vcpu.vm().nx_huge_pages(),
            nx_huge_page: NxHugePage::Allowed,
        }
    }

    /// The frame that was accessed.
    pub fn gfn(&self) -> Gfn {
        self.request.gfn
    }

    /// The host frame to map; aligned to the goal level.
    pub fn pfn(&self) -> Pfn {
        self.request.pfn
    }

    /// The level to map at.
    pub fn goal_level(&self) -> Level {
        self.goal_level
    }

    /// The level that would be mapped at but for the NX workaround.
    pub fn req_level(&self) -> Level {
        self.req_level
    }

    /// What keeps the memslots during the fault.
    pub fn slots(&self) -> &SlotsHeld<'a> {
        &self.slots
    }

    /// The slot of the frame; `None` means emulated MMIO.
    pub fn slot(&self) -> Option<&MemSlot> {
        self.request.slot
    }

    /// Whether the guest did not ask for it (yet).
    pub fn is_prefetch(&self) -> bool {
        self.request.prefetch
    }

    /// Whether it was a write.
    pub fn is_write(&self) -> bool {
        self.error_code() & error::WRITE != 0
    }

    /// The error code.
    pub fn error_code(&self) -> u64 {
        self.request.error_code
    }

    /// Whether the host lets the guest write.
    pub fn is_host_writable(&self) -> bool {
        self.request.map_writable
    }

    pub(in crate::kvm::fault) fn is_huge_page_disallowed(&self) -> bool {
        self.nx_huge_page == NxHugePage::Disallowed
    }

    pub(in crate::kvm::fault) fn is_write_tracked(
        &self,
        vcpu: &Vcpu,
        slot: &MemSlot,
        gfn: Gfn,
    ) -> bool {
        let inside = slot.range().contains(gfn);
        assert!(inside, "{gfn:?} was looked up in a slot that it is not in");
        vcpu.vm().is_write_tracked(gfn)
    }

    /// Chooses the levels.
    pub fn adjust_level(&mut self, vcpu: &Vcpu) {
        let fetch = self.error_code() & error::FETCH != 0;
        if fetch && self.nx_workaround {
            self.nx_huge_page = NxHugePage::Disallowed;
        }
        let Some(slot) = self.request.slot else {
            return;
        };
        if slot.is_dirty_tracked() {
            return;
        }
        let max = vcpu.vm().max_mapping_level(slot, self.gfn());
        self.req_level = max.unwrap_or(Level::PG_4K).min(self.request.max_level);
        if self.nx_huge_page == NxHugePage::Disallowed {
            return;
        }
        self.goal_level = self.req_level;
        let offset = self.pfn().raw() & (self.goal_level.pages() - 1);
        assert_eq!(offset, self.gfn().raw() & (self.goal_level.pages() - 1));
        self.request.pfn = Pfn::new(self.pfn().raw() - offset);
    }

    /// Steps below `link` if the table it links must stay for the NX workaround.
    pub fn adjust_for_nx<M: Mode>(&mut self, link: &Link<'_, M>) {
        let (level, goal) = (link.level(), self.goal_level);
        let page = link.cx().page_of(link.table());
        if !self.nx_workaround || level != goal || !page.is_nx_disallowed() {
            return;
        }
        let Some(below) = goal.below() else { return };
        let within = (goal.pages() - 1) & !(below.pages() - 1);
        self.request.pfn = Pfn::new(self.pfn().raw() | self.gfn().raw() & within);
        self.goal_level = below;
    }

    /// For a tracepoint.
    pub fn trace(&mut self, _access: Access) {}
}
