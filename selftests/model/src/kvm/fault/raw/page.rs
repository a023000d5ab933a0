// SPDX-License-Identifier: GPL-2.0

//! The page of a fault, with C's look-up and C's choice of levels.

use super::page_fault::{error, PageFault};
use crate::{
    kvm::{
        fault::outcome::Outcome,
        lock::{MmuLock, Mode, Shared},
        memory::MemSlot,
        spte::masks,
        table::Link,
        types::{Access, Gfn, Level, NxHugePage, Pfn},
    },
    lockdep,
};

/// `-EFAULT`.
const FAULT: i32 = -14;

/// A page of the host: what a test says that the look-up finds, or what it has found. Whoever has found
/// one has a reference to it.
#[derive(Clone, Copy)]
pub(super) struct Page {
    pub pfn: Pfn,
    pub writable: bool,
    /// Its size.
    pub level: Level,
}

impl PageFault<'_> {
    pub(in crate::kvm::fault) fn find_page(&mut self) -> Result<(), Outcome> {
        lockdep::might_sleep("looking up a page");
        let (vm, slot) = (self.vcpu.vm(), self.slot.expect("look_up() has seen it"));
        let host = slot.host_of(self.gfn());
        let found = self.given.or_else(|| {
            vm.primary.page(host).map(|page| Page {
                pfn: page.pfn_of(host),
                writable: page.writable,
                level: page.level,
            })
        });
        // Nothing there: it will be, once the notifier that goes on has ended.
        let found = found.ok_or(Outcome::Retry)?;
        assert!(self.page.replace(found).is_none(), "looked up twice");
        vm.stats.page_references.add(1);
        vm.lookups.run();
        Ok(())
    }

    /// `kvm_handle_noslot_fault()`.
    pub(in crate::kvm::fault) fn leave_slot(&mut self) -> Result<(), Outcome> {
        self.slot = None;
        // A test that says what is found wants to get to the mapping.
        match masks::mmio_caching() || self.given.is_some() {
            true => Ok(()),
            false => Err(Outcome::Emulate),
        }
    }

    pub(in crate::kvm::fault) fn prepare_exit(self) -> Outcome {
        Outcome::Failed(FAULT)
    }

    pub(in crate::kvm::fault) fn release_unused(&mut self) {
        if self.page.take().is_some() {
            self.vcpu.vm().stats.page_references.add(-1);
        }
    }

    pub(in crate::kvm::fault) fn release_mapped(&mut self, _lock: &MmuLock<'_, Shared>) {
        assert!(lockdep::held().mmu, "marks a page without mmu_lock");
        let marks = self.is_page_writable();
        self.vcpu.vm().stats.pages_marked.add(marks.into());
        self.release_unused();
    }

    pub(in crate::kvm::fault) fn page_pfn(&self) -> Pfn {
        self.page.map_or(Pfn::new(0), |page| page.pfn)
    }

    pub(in crate::kvm::fault) fn page_max_level(&self) -> Level {
        match self.page {
            Some(page) if page.level == Level::PG_4K => Level::PG_4K,
            _ => Level::MAX_HUGEPAGE,
        }
    }

    pub(in crate::kvm::fault) fn is_page_writable(&self) -> bool {
        self.page.is_some_and(|page| page.writable)
    }

    pub(in crate::kvm::fault) fn chosen_goal_level(&self) -> Level {
        self.goal_level
    }

    pub(in crate::kvm::fault) fn chosen_req_level(&self) -> Level {
        self.req_level
    }

    pub(in crate::kvm::fault) fn is_huge_page_disallowed(&self) -> bool {
        self.nx_huge_page == NxHugePage::Disallowed
    }

    /// `kvm_mmu_hugepage_adjust()`.
    pub(in crate::kvm::fault) fn choose_level(&mut self) {
        let fetch = self.error_code() & error::FETCH != 0;
        if fetch && self.nx_workaround {
            self.nx_huge_page = NxHugePage::Disallowed;
        }
        let Some(slot) = self.slot.filter(|slot| !slot.is_dirty_tracked()) else {
            return;
        };
        if self.max_level == Level::PG_4K {
            return;
        }
        let max = self.vcpu.vm().max_mapping_level(slot, self.gfn());
        self.req_level = max.unwrap_or(Level::PG_4K).min(self.max_level);
        if self.nx_huge_page == NxHugePage::Disallowed {
            return;
        }
        self.goal_level = self.req_level;
        let offset = self.page_pfn().raw() & (self.goal_level.pages() - 1);
        assert_eq!(offset, self.gfn().raw() & (self.goal_level.pages() - 1));
        self.move_page(self.page_pfn().raw() - offset);
    }

    /// `disallowed_hugepage_adjust()`.
    pub(in crate::kvm::fault) fn choose_level_for_nx<M: Mode>(&mut self, link: &Link<'_, M>) {
        let (level, goal) = (link.level(), self.goal_level);
        let page = link.cx().page_of(link.table());
        if !self.nx_workaround || level != goal || !page.is_nx_disallowed() {
            return;
        }
        let Some(below) = goal.below() else { return };
        let within = (goal.pages() - 1) & !(below.pages() - 1);
        self.move_page(self.page_pfn().raw() | self.gfn().raw() & within);
        self.goal_level = below;
    }

    /// Another frame of the same page is the one to map.
    fn move_page(&mut self, pfn: u64) {
        if let Some(page) = &mut self.page {
            page.pfn = Pfn::new(pfn);
        }
    }

    pub(in crate::kvm::fault) fn is_write_tracked(&self, slot: &MemSlot, gfn: Gfn) -> bool {
        let inside = slot.range().contains(gfn);
        assert!(inside, "{gfn:?} was looked up in a slot that it is not in");
        self.vcpu.vm().is_write_tracked(gfn)
    }

    pub(in crate::kvm::fault) fn trace_requested(&mut self, _access: Access) {}
}
