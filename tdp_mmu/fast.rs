// SPDX-License-Identifier: GPL-2.0

//! Page faults that `mmu_lock` is not needed for: an entry maps the page already, and only its rights
//! have to change.
//!
//! Dirty logging takes the right to write away and lets the entry be [MMU-writable], and aging without
//! accessed bits takes all rights away and keeps them in the entry. Both can be undone by one
//! compare-and-exchange. The entry is in a table that RCU keeps; if it was cut off meanwhile, its
//! entries are frozen, and the exchange fails.
//!
//! Whoever changes an entry must expect this, with `mmu_lock` held for write too:
//! [`Spte::is_volatile`].
//!
//! C counterpart: `fast_page_fault()`.
//!
//! [MMU-writable]: Spte::is_mmu_writable

use super::{
    leaf,
    lookup, //
};
use crate::{
    kvm::{
        spte::{masks, WRITABLE},
        table::{Leaf, TransitionError},
        Counted,
        Level,
        Lockless,
        MemSlot,
        Outcome,
        PageFault,
        Raced,
        Spte,
        State, //
    },
    sync::rcu, //
};

/// How often to try while the entry changes all the time.
const TRIES: u32 = 5;

/// Resolves the fault, if the entry that is there can be made to permit it.
#[inline(always)]
pub fn page_fault(fault: &PageFault<'_>) -> Option<Outcome> {
    if fault.may_be_fast() {
        try_entry(fault)
    } else {
        None
    }
}

/// Tries the last entry on the way to the frame, as long as others change it.
fn try_entry(fault: &PageFault<'_>) -> Option<Outcome> {
    let root = fault.vcpu().root()?;
    let rcu = rcu::read_lock();
    let mut tries = 0;
    let (at, outcome) = loop {
        let (at, state) = lookup::last_on_path(&rcu, &root, fault.gfn())?;
        tries += 1;
        match resolve(fault, state) {
            Ok(outcome) => break (at, outcome),
            Err(Raced) if tries == TRIES => break (at, None),
            Err(Raced) => {}
        }
    };
    fault.trace_fast(&at, outcome);
    if outcome.is_some() {
        fault.vcpu().count(Counted::Fast);
    }
    outcome
}

/// One try.
fn resolve(fault: &PageFault<'_>, state: State<'_, Lockless>) -> Result<Option<Outcome>, Raced> {
    let State::Leaf(leaf) = state else {
        return Ok(None);
    };
    // The CPU's TLB was behind, or another vCPU was faster.
    if leaf::permits(fault, leaf.spte()) {
        return Ok(Some(Outcome::Spurious));
    }
    let Some(slot) = fault.slot() else {
        return Ok(None);
    };
    let Some(new) = restored(fault, slot, &leaf) else {
        return Ok(None);
    };
    let restore = || leaf.restore(new);
    match fault.vcpu().log_write(slot, fault.gfn(), new, restore) {
        Ok(()) => Ok(Some(Outcome::Fixed)),
        Err(TransitionError::Raced(raced)) => Err(raced),
        Err(TransitionError::Refused) => Ok(None),
    }
}

/// The leaf with the rights that it may have, if these permit the access.
fn restored(fault: &PageFault<'_>, slot: &MemSlot, leaf: &Leaf<'_, Lockless>) -> Option<Spte> {
    let mut new = leaf.spte();
    // Where the CPU has accessed bits, all entries here use them. Only the shadow MMU makes others.
    if !masks::ad_enabled() && new.is_access_tracked() {
        new = leaf::access_restored(new).with(masks::accessed());
    }
    if fault.is_write() && leaf.spte().is_mmu_writable() {
        // Only one frame would be logged: the page has to be mapped in small ones first.
        if leaf.level() > Level::PG_4K && slot.is_dirty_tracked() {
            return None;
        }
        new = new.with(WRITABLE);
    }
    (new != leaf.spte() && leaf::permits(fault, new)).then_some(new)
}
