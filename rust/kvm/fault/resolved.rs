// SPDX-License-Identifier: GPL-2.0

//! From a fault to the page that may be mapped for it.
//!
//! ```text
//!           snapshot          look_up, without_slot          current
//! PageFault ───────▶ Snapshot ────────────────────▶ Resolved ───────▶ Current
//!                                                    │    ▲   with `mmu_lock` held
//!                                                    └────┘
//!                                                 look_up_again
//! ```
//!
//! The host may take the page away at any time. It says so between the begin and the end of an
//! invalidation, both under `mmu_lock` held for write, and the end is counted. So whoever has looked at
//! the count, looks up the page, and then holds the lock for read knows: if no invalidation of the frame
//! is going on, and none has ended since the count was that, then the page is still the host's for that
//! frame, and stays so for as long as the lock is held. Nothing else has the page's number, so nothing
//! else is mapped for a fault.
//!
//! The [record](crate::kvm::memory) of the VM knows which frames each of the last invalidations was for.
//! So what happens elsewhere makes no fault start again. In C it does: an end anywhere, and one that
//! goes on between two others. And every frame of the page to be mapped is asked about, where C asks for
//! the one that was accessed: a huge page becomes a smaller one where a part of it is going.

#![forbid(unsafe_code)]

use super::{
    outcome::Outcome,
    raw::{PageFault, Vcpu}, //
};
use crate::{
    kvm::{
        lock::{MmuLock, Mode, Shared},
        memory::{MemSlot, Vm},
        table::Link,
        types::{Access, Gfn, GfnRange, Level, NxHugePage, Pfn}, //
    },
    sync::{smp_mb, Read}, //
};
use core::{
    ops::Deref,
    ptr, //
};

/// A fault with how many invalidations had ended before anything was looked up for it.
pub struct Snapshot<'a> {
    fault: PageFault<'a>,
    ended: u64,
}

/// A fault whose page was looked up, with the reference to that page. If it is not mapped, the reference
/// is dropped with the value.
///
/// # Invariants
///
/// The count in `snapshot` was read before the look-up.
#[must_use = "the page was looked up to be mapped"]
pub struct Resolved<'a> {
    snapshot: Snapshot<'a>,
}

impl<'a> PageFault<'a> {
    /// Looks at the count of invalidations, before anything that they may change.
    #[inline(always)]
    pub fn snapshot(self) -> Snapshot<'a> {
        let ended = self.invalidations_ended();
        Snapshot { fault: self, ended }
    }

    #[inline(always)]
    fn invalidations_ended(&self) -> u64 {
        let ended = self.vcpu().vm().invalidations_ended();
        smp_mb(Read);
        ended
    }
}

impl<'a> Snapshot<'a> {
    /// Whether it seems that a page that is looked up will be of no use. Without the lock this may be
    /// wrong either way (`mmu_invalidate_retry_gfn_unsafe()`).
    #[inline(always)]
    pub fn looks_stale(&self) -> bool {
        let frame = GfnRange::sized(self.gfn(), 1);
        self.vcpu().vm().is_stale(self.ended, frame)
    }

    /// Looks up the page in the host's page tables, or in guest_memfd. May sleep. A frame without a slot
    /// has none.
    #[inline]
    pub fn look_up(mut self) -> Result<Resolved<'a>, Outcome> {
        if self.slot().is_none() {
            return self.without_slot();
        }
        self.fault.find_page()?;
        // INVARIANT: The count was there before.
        Ok(Resolved { snapshot: self })
    }

    /// Treats the frame as one without a slot: there is no page, and the access is emulated.
    #[inline]
    pub fn without_slot(mut self) -> Result<Resolved<'a>, Outcome> {
        self.fault.leave_slot()?;
        // INVARIANT: The count was there before.
        Ok(Resolved { snapshot: self })
    }

    /// Leaves the fault to userspace, which made the memory private, or shared.
    #[inline]
    pub fn exit_to_userspace(self) -> Outcome {
        self.fault.prepare_exit()
    }
}

impl<'a> Deref for Snapshot<'a> {
    type Target = PageFault<'a>;

    #[inline(always)]
    fn deref(&self) -> &PageFault<'a> {
        &self.fault
    }
}

impl<'a> Resolved<'a> {
    /// As [`Snapshot::looks_stale`].
    #[inline(always)]
    pub fn looks_stale(&self) -> bool {
        self.snapshot.looks_stale()
    }

    /// Gives the page back and looks it up once more, with a new look at the count before that. `None` if that would be
    /// in vain, or if it may not be looked up any more: attributes of memory and the use of the APIC access page change
    /// by an invalidation too, so what was seen of them before the new count says nothing.
    #[cold]
    pub fn look_up_again(mut self) -> Result<Option<Self>, Outcome> {
        self.snapshot.fault.release_unused();
        self.snapshot.ended = self.snapshot.invalidations_ended();
        let fault = &self.snapshot;
        let no_page = fault.slot().is_none_or(MemSlot::is_apic_access_page);
        if no_page || fault.contradicts_attributes() || fault.looks_stale() {
            return Ok(None);
        }
        self.snapshot.fault.find_page()?;
        // INVARIANT: The count was there before.
        Ok(Some(self))
    }

    /// The fault, if its page is still what the host has there, with the level chosen at which to map it:
    /// by the slot, the host's mapping and the NX workaround, and so that the page is still the host's for
    /// every frame. Else the reference to the page is dropped.
    ///
    /// `None` also for the lock of another VM, which marks the fault's VM as broken.
    #[inline]
    pub fn current<'l>(mut self, lock: &'l MmuLock<'_, Shared>) -> Option<Current<'l, 'a>> {
        let vm = self.vm();
        if !ptr::eq(lock.vm(), vm) {
            vm.bug();
            return None;
        }
        // What has no slot has no page that could go.
        if self.snapshot.slot().is_some() {
            let level = self.current_level()?;
            self.snapshot.fault.limit_level(level);
        }
        self.snapshot.fault.choose_level();
        // INVARIANT: Just checked, and the lock is borrowed for `'l`. C has chosen no higher level than
        // the fault's highest.
        Some(Current {
            resolved: self,
            lock,
        })
    }

    /// Whose fault it is.
    #[inline(always)]
    pub fn vcpu(&self) -> &'a Vcpu {
        self.snapshot.vcpu()
    }

    #[inline(always)]
    fn vm(&self) -> &'a Vm {
        self.vcpu().vm()
    }

    /// The highest level, of those that the page's size allows, at which no frame's page may have gone. The lock is held.
    #[inline(always)]
    fn current_level(&self) -> Option<Level> {
        let (vm, gfn) = (self.vm(), self.snapshot.gfn());
        let page = |level: Level| GfnRange::sized(gfn.round_down(level), level.pages());
        let fault = &self.snapshot.fault;
        let mut level = fault.max_level().min(fault.page_max_level());
        while vm.is_stale(self.snapshot.ended, page(level)) {
            level = level.below()?;
        }
        Some(level)
    }
}

impl Drop for Resolved<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.snapshot.fault.release_unused();
    }
}

/// A fault whose page is still what the host has there, and stays so while the lock is held.
///
/// # Invariants
///
/// The lock is that of the fault's VM. No invalidation of a frame of the page of the fault's highest
/// level is going on, and none of one has ended since the page was looked up.
pub struct Current<'l, 'a> {
    resolved: Resolved<'a>,
    lock: &'l MmuLock<'l, Shared>,
}

impl<'l> Current<'l, '_> {
    /// The hold of the lock.
    #[inline(always)]
    pub fn lock(&self) -> &'l MmuLock<'l, Shared> {
        self.lock
    }

    /// The host frame to map; aligned to the goal level.
    #[inline(always)]
    pub fn pfn(&self) -> Pfn {
        self.page_pfn()
    }

    /// Whether the host lets the guest write.
    #[inline(always)]
    pub fn is_host_writable(&self) -> bool {
        self.is_page_writable()
    }

    /// The level to map at.
    #[inline(always)]
    pub fn goal_level(&self) -> Level {
        self.chosen_goal_level()
    }

    /// The level that would be mapped at but for the NX workaround.
    #[inline(always)]
    pub fn req_level(&self) -> Level {
        self.chosen_req_level()
    }

    /// What the NX workaround says to a huge page for this fault.
    #[inline(always)]
    pub fn nx_huge_page(&self) -> NxHugePage {
        if self.is_huge_page_disallowed() {
            NxHugePage::Disallowed
        } else {
            NxHugePage::Allowed
        }
    }

    /// Steps below `link` instead of replacing it if the table it links must stay, because it maps
    /// executable small pages under the NX workaround.
    #[inline(always)]
    pub fn adjust_for_nx<M: Mode>(&mut self, link: &Link<'_, M>) {
        self.resolved.snapshot.fault.choose_level_for_nx(link);
    }

    /// Tells the shadow MMU that `gfn` is about to become writable.
    ///
    /// Returns whether it must stay write-protected instead, because the shadow MMU or an external
    /// user tracks writes to it. A frame outside of the slot must, and marks the VM as broken.
    #[inline(always)]
    pub fn must_write_protect(&self, slot: &MemSlot, gfn: Gfn) -> bool {
        if !slot.range().contains(gfn) {
            self.vcpu().vm().bug();
            return true;
        }
        self.is_write_tracked(slot, gfn)
    }

    /// Reports to the tracepoint `kvm_mmu_spte_requested`.
    #[inline(always)]
    pub fn trace(&mut self, access: Access) {
        self.resolved.snapshot.fault.trace_requested(access);
    }

    /// Gives the reference to the page back: as that of one which is mapped, if `outcome` says so.
    #[inline(always)]
    pub fn finish(mut self, outcome: Outcome) -> Outcome {
        if outcome.is_mapped() {
            self.resolved.snapshot.fault.release_mapped(self.lock);
        }
        outcome
    }
}

impl<'a> Deref for Current<'_, 'a> {
    type Target = PageFault<'a>;

    #[inline(always)]
    fn deref(&self) -> &PageFault<'a> {
        &self.resolved.snapshot
    }
}
