// SPDX-License-Identifier: GPL-2.0

//! A shadow page-table entry (SPTE) as a value.
//!
//! A [`Spte`] is a *copy* of an entry. It says what the entry held at one moment and gives no right
//! to the entry, nor to the table it may have pointed to; those come from
//! [`Entry`](crate::kvm::Entry).
//!
//! Bits that mean the same in every format are constants here. Those that differ between NPT and
//! EPT, or with what the CPU can do, are variables that the vendor module sets: [`masks`].
//!
//! C counterpart: `arch/x86/kvm/mmu/spte.h`.

#![forbid(unsafe_code)]

use super::masks;
use crate::kvm::types::{
    Level,
    Pfn,
    PAGE_SHIFT, //
};

/// Hardware "writable", the same bit in NPT and EPT.
pub const WRITABLE: u64 = 1 << 1;
/// Hardware "present" in NPT, "readable" in EPT.
pub const READABLE: u64 = 1 << 0;
/// Hardware "large page" above the 4K level; part of the memory type at 4K.
pub const PAGE_SIZE: u64 = 1 << 7;
/// Software: the entry maps or links real memory. MMIO and frozen entries do not have it.
pub const MMU_PRESENT: u64 = 1 << 11;
/// Software, two bits: how accesses and writes through the entry are tracked.
pub const AD_MASK: u64 = 3 << 60;
/// The format has no accessed and dirty bits (or the role forbids them).
pub const AD_DISABLED: u64 = 1 << 60;
/// Accessed and dirty bits exist, but writes must be caught by write protection.
pub const AD_WRPROT_ONLY: u64 = 2 << 60;

/// The value of an entry that maps nothing. Bit 63 keeps EPT from raising #VE.
pub const NONPRESENT: Spte = Spte(1 << 63);
/// The value that a task leaves in an entry it is still working on, under `mmu_lock` held for read.
///
/// Whoever finds it must not write to the entry.
pub const FROZEN: Spte = Spte(NONPRESENT.0 | 0x1a0);

/// The value of a shadow page-table entry at some moment.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Spte(u64);

impl Spte {
    /// Wraps raw bits. A value gives no rights, so any bits will do.
    #[inline(always)]
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The raw bits.
    #[inline(always)]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// Whether any of the bits in `mask` is set.
    #[inline(always)]
    pub const fn has(self, mask: u64) -> bool {
        self.0 & mask != 0
    }

    /// Whether the entry maps or links memory (`is_shadow_present_pte`).
    #[inline(always)]
    pub const fn is_present(self) -> bool {
        self.has(MMU_PRESENT)
    }

    /// Whether some task is working on the entry (`is_frozen_spte`).
    #[inline(always)]
    pub const fn is_frozen(self) -> bool {
        self.0 == FROZEN.0
    }

    /// Whether the entry, if present, ends the walk at `level` (`is_last_spte`).
    #[inline(always)]
    pub fn is_last(self, level: Level) -> bool {
        level == Level::PG_4K || self.has(PAGE_SIZE)
    }

    /// Whether the entry maps memory at `level`.
    #[inline(always)]
    pub fn is_leaf(self, level: Level) -> bool {
        self.is_present() && self.is_last(level)
    }

    /// Whether the entry links a table of the level below `level`.
    #[inline(always)]
    pub fn is_table(self, level: Level) -> bool {
        self.is_present() && !self.is_last(level)
    }

    /// The host frame that the entry maps or links (`spte_to_pfn`).
    #[inline(always)]
    pub fn pfn(self) -> Pfn {
        Pfn::new((self.0 & masks::base_addr()) >> PAGE_SHIFT)
    }

    /// Whether hardware may write through the entry.
    #[inline(always)]
    pub const fn is_writable(self) -> bool {
        self.has(WRITABLE)
    }

    /// Whether KVM may make the entry writable without asking the shadow MMU.
    #[inline(always)]
    pub fn is_mmu_writable(self) -> bool {
        self.has(masks::mmu_writable())
    }

    /// Whether the accessed bit is set. An access-tracked entry has none.
    #[inline(always)]
    pub fn is_accessed(self) -> bool {
        self.has(masks::accessed())
    }

    /// Whether hardware maintains the entry's accessed and dirty bits. Present entries only.
    #[inline(always)]
    pub const fn ad_enabled(self) -> bool {
        self.0 & AD_MASK != AD_DISABLED
    }

    /// Whether the entry was made inaccessible to see the next access (`is_access_track_spte`).
    #[inline(always)]
    pub fn is_access_tracked(self) -> bool {
        !self.ad_enabled() && !self.has(masks::acc_track())
    }

    /// Whether bits that must not get lost can change under a holder of `mmu_lock`.
    ///
    /// The fast page-fault path sets the W bit or restores an access-tracked entry without the
    /// lock, and the CPU sets the dirty bit of a writable entry. The accessed bit does not count:
    /// aging tolerates both errors. Present leaf entries only (`spte_needs_atomic_update`).
    #[inline(always)]
    pub fn is_volatile(self) -> bool {
        if !self.ad_enabled() {
            return true;
        }
        if self.is_writable() {
            !self.has(masks::dirty())
        } else {
            self.is_mmu_writable()
        }
    }

    /// The value with the bits in `mask` cleared.
    #[inline(always)]
    pub const fn without(self, mask: u64) -> Self {
        Self(self.0 & !mask)
    }

    /// The value with the bits in `mask` set.
    #[inline(always)]
    pub const fn with(self, mask: u64) -> Self {
        Self(self.0 | mask)
    }
}

impl core::fmt::Debug for Spte {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// An entry that maps memory at `level`, ready to be installed.
///
/// # Invariants
///
/// `spte` is present and [last](Spte::is_last) at `level`: no address in it is ever followed as
/// that of a page table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafSpte {
    spte: Spte,
    level: Level,
}

impl LeafSpte {
    /// Makes `spte` a leaf of `level` by setting the bits that say so.
    #[inline(always)]
    pub fn new(spte: Spte, level: Level) -> Self {
        let size = if level == Level::PG_4K { 0 } else { PAGE_SIZE };
        // INVARIANT: The two bits that decide are set here.
        Self {
            spte: spte.with(MMU_PRESENT | size),
            level,
        }
    }

    /// The value to be installed.
    #[inline(always)]
    pub const fn spte(self) -> Spte {
        self.spte
    }

    /// The level of the table that the entry is meant for.
    #[inline(always)]
    pub const fn level(self) -> Level {
        self.level
    }
}

/// The entry that links a table at physical address `table`, given that the table is one.
///
/// Everything is permitted in links; leaves restrict. Links of formats with accessed bits have
/// theirs set from the start (`make_nonleaf_spte`).
#[inline(always)]
pub(in crate::kvm) fn link(table: u64) -> Spte {
    let tracking = if masks::ad_enabled() {
        masks::accessed()
    } else {
        AD_DISABLED
    };
    Spte::new(
        MMU_PRESENT
            | table
            | masks::present()
            | READABLE
            | WRITABLE
            | masks::user()
            | masks::exec()
            | masks::user_exec()
            | masks::me_value()
            | tracking,
    )
}
