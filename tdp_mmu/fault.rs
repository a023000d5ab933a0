// SPDX-License-Identifier: GPL-2.0

//! What happens to a page fault, and in which order.
//!
//! The order is C's. Types hold the part of it that nothing may get wrong: the count of invalidations
//! is looked at before anything that an invalidation changes, and the page is mapped only if it is still
//! the host's when `mmu_lock` is held ([`Snapshot`], [`Current`](crate::kvm::Current)). What decides
//! about the page is C's for all VMs: the host's page tables, asynchronous page faults, guest_memfd, and
//! the level.
//!
//! C counterparts: `kvm_tdp_mmu_page_fault()`, `kvm_mmu_faultin_pfn()`, `is_page_fault_stale()`.

use super::{
    fast,
    map, //
};
use crate::kvm::{
    Counted,
    MemSlot,
    Outcome,
    PageFault,
    Resolved,
    Snapshot, //
};

/// Handles a fault, from its start to its end. May sleep.
#[inline(always)]
pub fn page_fault(fault: PageFault<'_>) -> Outcome {
    if fault.is_tracked_write() {
        return Outcome::WriteProtected;
    }
    if let Some(outcome) = fast::page_fault(&fault) {
        return outcome;
    }
    let resolved = fault.vcpu().fill_caches().and_then(|()| resolve(fault));
    match resolved {
        Ok(resolved) => map_resolved(resolved),
        Err(outcome) => outcome,
    }
}

// Most faults go through one function, so that no fault is moved around: each of those marked below is called in one
// place.

/// Looks up the page, or says what becomes of a fault that has none.
#[inline(always)]
fn resolve(fault: PageFault<'_>) -> Result<Resolved<'_>, Outcome> {
    let fault = fault.snapshot();
    if fault.contradicts_attributes() {
        return Err(fault.exit_to_userspace());
    }
    match fault.slot() {
        Some(slot) => resolve_in(slot, fault),
        None => fault.without_slot(),
    }
}

#[inline(always)]
fn resolve_in<'a>(slot: &MemSlot, fault: Snapshot<'a>) -> Result<Resolved<'a>, Outcome> {
    if slot.is_invalid() {
        return Err(slot_is_going(&fault));
    }
    if slot.is_apic_access_page() {
        // The guest's own guests get their accesses emulated. For the guest itself nothing is cached
        // while hardware does not help, and so nothing has to go when that changes.
        if fault.vcpu().is_guest_mode() {
            return fault.without_slot();
        }
        if !fault.vcpu().vm().is_apicv_active() {
            return Err(Outcome::Emulate);
        }
    }
    look_up(fault)
}

/// What the slot maps is still to be zapped before anything new may be mapped there. `KVM_RUN` gets
/// there by faulting again. Prefetching promises no such progress.
fn slot_is_going(fault: &Snapshot<'_>) -> Outcome {
    if fault.is_prefetch() {
        return Outcome::TryAgain;
    }
    fault.vcpu().count(Counted::InvalidSlot);
    Outcome::Retry
}

/// Looks up the page, unless that is in vain.
///
/// Looking for invalidations before the look-up and before `mmu_lock` is taken decides nothing. But while
/// one goes on, the look-up could hold it up, and waiting for the lock would.
///
/// The look-up itself may have the host move the page to the vCPU's node, or copy a merged one for a write. That is an
/// invalidation of this page, and is over when the look-up is. C lets the guest fault again. But where the page is now,
/// a second look-up finds it at once.
#[inline(always)]
fn look_up(fault: Snapshot<'_>) -> Result<Resolved<'_>, Outcome> {
    let vcpu = fault.vcpu();
    if !fault.looks_stale() {
        let resolved = fault.look_up()?;
        if !resolved.looks_stale() {
            return Ok(resolved);
        }
        let again = resolved.look_up_again()?;
        if let Some(resolved) = again.filter(|resolved| !resolved.looks_stale()) {
            return Ok(resolved);
        }
    }
    vcpu.count(Counted::Invalidated);
    Err(Outcome::Retry)
}

/// Maps the page, if it is still the host's.
#[inline(always)]
fn map_resolved(resolved: Resolved<'_>) -> Outcome {
    let vcpu = resolved.vcpu();
    let lock = vcpu.mmu_read();
    let Some(root) = vcpu.root().filter(|root| !root.role().is_invalid()) else {
        vcpu.count(Counted::ObsoleteRoot);
        return Outcome::Retry;
    };
    let Some(mut fault) = resolved.current(&lock) else {
        vcpu.count(Counted::Invalidated);
        return Outcome::Retry;
    };
    let outcome = map::map(&root, &mut fault);
    if outcome == Outcome::Retry {
        vcpu.count(Counted::Raced);
    }
    fault.finish(outcome)
}
