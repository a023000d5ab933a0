// SPDX-License-Identifier: GPL-2.0

//! Entries of live page tables and the transitions that they allow.
//!
//! An [`Entry`] is a place in a table together with the value read from it. Its [`State`] decides
//! what can be done:
//!
//! ```text
//!             map, set_mmio, link                 zap
//!   Absent ─────────────────────────▶ Leaf/Link ───────▶ Absent
//!   Leaf ── clear, restore, update (same pfn) ▶ Leaf
//!   Leaf ── split ─▶ Link            Link ── collapse ─▶ Leaf
//!   Frozen: nothing
//! ```
//!
//! There is no other transition: a present entry never becomes an MMIO entry, a leaf never maps
//! another pfn than before, and a frozen entry is never written. Each transition acts on the value
//! that was read (`Shared`: compare-and-exchange, which fails if the entry changed; `Exclusive`:
//! a store, or an exchange where hardware or the fast page-fault path may set bits).
//! What it replaced comes back as a [`Change`] to be accounted, with the `RemovedTable` it cut
//! off and the `Flush` it made necessary.
//!
//! An entry borrows from the lock hold and RCU section that its [`Context`] stands for, so none
//! survives a yield.
//!
//! The transitions themselves are in `transitions.rs`.

#![forbid(unsafe_code)]

use super::{
    context::Context,
    page::Table,
    vm_page::VmPage, //
};
use crate::kvm::{
    lock::{Locked, MayWrite, Mode},
    spte::{masks, Spte, SpteCell, WRITABLE},
    types::{Gfn, Level, ENTRIES}, //
};
use core::ptr;

/// A place in a live table, and the value last read from it.
///
/// # Invariants
///
/// `cell` is the entry for `gfn` in a table of `level` that is alive for `'r`, and `old` was read
/// from it. `gfn` is aligned to what the entry spans.
pub struct Entry<'r, M: Mode> {
    pub(super) cell: &'r SpteCell,
    pub(super) cx: Context<'r, M>,
    pub(super) old: Spte,
    gfn: Gfn,
    pub(super) level: Level,
}

/// Where an entry is and what it held, without any right to change it.
#[derive(Clone, Copy)]
pub struct EntrySnapshot<'r> {
    /// The memory.
    pub cell: &'r SpteCell,
    /// The value that was read.
    pub spte: Spte,
    /// The first frame that the entry spans.
    pub gfn: Gfn,
    /// The level of the entry's table.
    pub level: Level,
}

/// What an entry held when it was read, with the transitions from there.
pub enum State<'r, M: Mode> {
    /// Maps nothing; may be an MMIO entry.
    Absent(Absent<'r, M>),
    /// Another task works on it.
    Frozen,
    /// Maps memory.
    Leaf(Leaf<'r, M>),
    /// Links a table of the level below.
    Link(Link<'r, M>),
}

/// A transition that was carried out, to be accounted.
#[must_use = "page statistics and tracepoints need to hear of it"]
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// The value that was replaced.
    pub old: Spte,
    /// The value now in place.
    pub new: Spte,
    /// The first frame that the entry spans.
    pub gfn: Gfn,
    /// The level of the entry's table.
    pub level: Level,
}

/// Bits of a leaf that may be taken away without a new fault deciding on the rest.
#[derive(Clone, Copy)]
pub struct LeafBits(u64);

impl LeafBits {
    /// The write permission.
    #[inline(always)]
    pub fn writable() -> Self {
        Self(WRITABLE)
    }

    /// The write permission, and the right to give it back without asking.
    #[inline(always)]
    pub fn write_tracked() -> Self {
        Self(WRITABLE | masks::mmu_writable())
    }

    /// The dirty bit.
    #[inline(always)]
    pub fn dirty() -> Self {
        Self(masks::dirty())
    }

    /// The raw mask.
    #[inline(always)]
    pub fn mask(self) -> u64 {
        self.0
    }
}

impl<'r, M: Mode> Entry<'r, M> {
    /// Reads the entry for `gfn` of `table`. `None` if the table does not span `gfn`.
    #[inline(always)]
    pub fn read(cx: Context<'r, M>, table: Table<'r>, gfn: Gfn) -> Option<Self> {
        let level = table.level();
        let cell = table.cell_for(gfn)?;
        Some(Self {
            cell,
            cx,
            old: cell.load(),
            gfn: gfn.round_down(level),
            level,
        })
    }

    /// Reads the entry for `gfn` at the level `goal`, or the first one above it that links no table, on the way
    /// down from `table`. `None` if the table does not span `gfn`.
    ///
    /// Nothing can be done with what is passed: a walk to one frame spends most of its time here.
    #[inline(always)]
    pub fn towards(cx: Context<'r, M>, table: Table<'r>, gfn: Gfn, goal: Level) -> Option<Self> {
        let (mut cell, mut level) = (table.cell_for(gfn)?, table.level());
        let mut old = cell.load();
        while let Some(below) = level
            .below()
            .filter(|_| level > goal && old.is_table(level))
        {
            // The value is present and not last, as is asked. What an entry links spans what the entry does, and so
            // it spans `gfn`.
            let table = Table::linked_by(old, gfn.round_down(level), level, &cx);
            cell = table.cell(gfn.index_at(below));
            level = below;
            old = cell.load();
        }
        let gfn = gfn.round_down(level);
        // INVARIANT: Each link was read in this context, and leads to a live table of the level below. So `cell` is the
        // entry for `gfn` in a live table of `level`.
        Some(Self {
            cell,
            cx,
            old,
            gfn,
            level,
        })
    }

    /// Reads the entry at `index` of `table`, which is taken modulo the table's size.
    #[inline(always)]
    pub fn at(cx: Context<'r, M>, table: Table<'r>, index: usize) -> Self {
        let (index, level) = (index % ENTRIES, table.level());
        let cell = table.cell(index);
        // INVARIANT: The table's entries are for one page of its level after the other.
        Self {
            cell,
            cx,
            old: cell.load(),
            gfn: table.gfn().add((index as u64).wrapping_shl(level.shift())),
            level,
        }
    }

    /// Reads the entry in the parent table that links, or linked, `page`. `None` for roots, and for
    /// pages of another VM, which mark the VM as broken.
    #[inline]
    pub fn read_parent(cx: Context<'r, M>, page: &'r VmPage<'_>) -> Option<Self> {
        if !ptr::eq(cx.vm(), page.vm()) {
            cx.vm().bug();
            return None;
        }
        let level = page.level().above()?;
        let cell = page.parent_cell()?;
        Some(Self {
            cell,
            cx,
            old: cell.load(),
            gfn: page.gfn(),
            level,
        })
    }

    /// The walk's context.
    #[inline(always)]
    pub fn cx(&self) -> Context<'r, M> {
        self.cx
    }

    /// The value that was read.
    #[inline(always)]
    pub fn spte(&self) -> Spte {
        self.old
    }

    /// The first frame that the entry spans.
    #[inline(always)]
    pub fn gfn(&self) -> Gfn {
        self.gfn
    }

    /// The level of the entry's table.
    #[inline(always)]
    pub fn level(&self) -> Level {
        self.level
    }

    /// A copy without rights, for what outlives a transition.
    #[inline(always)]
    pub fn snapshot(&self) -> EntrySnapshot<'r> {
        EntrySnapshot {
            cell: self.cell,
            spte: self.old,
            gfn: self.gfn,
            level: self.level,
        }
    }

    /// Decides what can be done with the entry.
    #[inline(always)]
    pub fn state(self) -> State<'r, M> {
        if !self.old.is_present() {
            if self.old.is_frozen() {
                State::Frozen
            } else {
                State::Absent(Absent(self))
            }
        } else if self.old.is_last(self.level) {
            State::Leaf(Leaf(self))
        } else {
            State::Link(Link(self))
        }
    }

    #[inline(always)]
    pub(super) fn changed(&self, old: Spte, new: Spte) -> Change {
        Change {
            old,
            new,
            gfn: self.gfn,
            level: self.level,
        }
    }
}

impl<M: Locked> Entry<'_, M> {
    #[inline(always)]
    pub(super) fn replace(&self, new: Spte) -> Result<Change, M::Raced> {
        let old = M::replace(MayWrite::transition(), self.cell, self.old, new, self.level)?;
        Ok(self.changed(old, new))
    }
}

macro_rules! entry_state {
    ($(#[$attr:meta])* $name:ident) => {
        $(#[$attr])*
        pub struct $name<'r, M: Mode>(pub(super) Entry<'r, M>);

        impl<'r, M: Mode> core::ops::Deref for $name<'r, M> {
            type Target = Entry<'r, M>;

            #[inline(always)]
            fn deref(&self) -> &Entry<'r, M> {
                &self.0
            }
        }
    };
}

entry_state! {
    /// An entry that mapped nothing when it was read.
    ///
    /// # Invariants
    ///
    /// The value is neither present nor frozen.
    Absent
}

entry_state! {
    /// An entry that mapped memory when it was read.
    ///
    /// # Invariants
    ///
    /// The value is present and last at its level.
    Leaf
}

entry_state! {
    /// An entry that linked a table when it was read.
    ///
    /// # Invariants
    ///
    /// The value is present and not last at its level: it holds the address of a table.
    Link
}
