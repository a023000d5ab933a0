// SPDX-License-Identifier: GPL-2.0

//! What the model's C code does otherwise than C, if a test asks for it.
//!
//! Most variants are mistakes: an order or an omission that somebody could think is right. The test
//! then expects the failure that shows that it is not.

use crate::atomic::plain::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

/// A variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Nobody asks vCPUs whose roots became invalid to load others.
    RootRequestForgotten,
    /// They are asked after `mmu_lock` was dropped.
    RootRequestLate,
    /// A CPU's own dirty log that is full begins anew, and nobody has read it.
    PmlDropped,
    /// Notifiers zap with `mmu_lock` held for read, and flush what they have zapped themselves.
    NotifierZapsUnderRead,
    /// As above, but a notifier also flushes while another one zaps, which may owe a flush.
    NotifierFlushesForOthers,
    /// Notifiers that must not block may give way.
    NotifierAlwaysBlocks,
    /// Who asks what the host has taken away, or takes away, hears that there is nothing.
    FaultIsNeverStale,
    /// The end of a notifier is the end of all.
    NotifierEndsAll,
    /// The NX workaround is switched on, and what is mapped stays.
    NxSwitchedOnly,
    /// What a dirty ring said is forgotten, and writes are not made to count again.
    RingResetOnly,
    /// What a slot maps stays when it goes.
    SlotLeftMapped,
    /// Slots change while notifiers are active.
    SlotsDoNotWait,
    /// Nobody is told that a slot is about to go, so faults map its memory.
    InvalidSlotIsMapped,
    /// MMIO entries are taken for good, whatever has become of the slots.
    MmioIsNeverStale,
    /// vCPUs run on when their dirty ring is about to be full.
    RingFullUnseen,
}

/// The variants that a VM has.
#[derive(Default)]
pub struct Variants(AtomicU64);

impl Variants {
    /// Has `variant` from now on.
    pub fn choose(&self, variant: Variant) {
        self.0.fetch_or(1 << variant as u32, SeqCst);
    }

    pub(crate) fn has(&self, variant: Variant) -> bool {
        self.0.load(SeqCst) & 1 << variant as u32 != 0
    }
}
