// SPDX-License-Identifier: GPL-2.0

//! What becomes of a page fault, and what is counted of it.

#![forbid(unsafe_code)]

/// What became of a fault, as the rest of KVM counts and acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Let the CPU fault again.
    Retry,
    /// Emulate the instruction: MMIO.
    Emulate,
    /// The frame is write-protected, and the fault was a write.
    WriteProtected,
    /// Mapped.
    Fixed,
    /// Somebody else has mapped it already.
    Spurious,
    /// The memslots are changing, and the guest did not ask: userspace is to try again.
    TryAgain,
    /// The root does not span the frame: an error for userspace.
    OutOfReach,
    /// C says that the fault fails, with this negative error number.
    Failed(i32),
}

impl Outcome {
    /// Whether an entry maps the page now.
    #[inline(always)]
    pub fn is_mapped(self) -> bool {
        matches!(self, Self::Fixed | Self::Spurious | Self::WriteProtected)
    }
}

/// What a vCPU counts of its faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// The fault was resolved without `mmu_lock` (`pf_fast`).
    Fast,
    /// The host has taken the page away (`pf_retry_invalidated`).
    Invalidated,
    /// The root is not valid any more (`pf_retry_obsolete`).
    ObsoleteRoot,
    /// The slot is about to go (`pf_retry_memslot`).
    InvalidSlot,
    /// Somebody else has changed the entry (`pf_retry_raced`).
    Raced,
    /// An MMIO entry was made (`pf_mmio_spte_created`).
    MmioEntry,
}
