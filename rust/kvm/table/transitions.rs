// SPDX-License-Identifier: GPL-2.0

//! The transitions from each state of an entry.
//!
//! Each consumes the state that it starts from, and says by its type what has to follow.

#![forbid(unsafe_code)]

use super::{
    entry::{Absent, Change, Leaf, LeafBits, Link},
    new::{NewTable, SplitTable},
    page::Table,
    removed::RemovedTable, //
};
use crate::kvm::{
    lock::{Flush, Locked, Mode, Raced, Shared},
    spte::{LeafSpte, Spte, NONPRESENT}, //
};

/// Why a table could not be linked; the table comes back.
pub struct LinkError<T>(pub T);

/// Why a leaf could not be put in the place of another.
#[derive(Debug)]
pub enum UpdateError {
    /// The entry changed in the meantime.
    Raced,
    /// The new leaf maps another pfn; the old one must be zapped and flushed first.
    OtherPfn,
}

impl<'r> Absent<'r, Shared> {
    /// Maps memory. A leaf made for another level is refused like a lost race.
    #[inline(always)]
    pub fn map(self, leaf: LeafSpte) -> Result<Change, Raced> {
        if leaf.level() != self.0.level {
            return Err(Raced);
        }
        self.0.replace(leaf.spte())
    }

    /// Notes that the frame is emulated MMIO. `mmio` must be non-present.
    #[inline(always)]
    pub fn set_mmio(self, mmio: Spte) -> Result<Change, Raced> {
        if mmio.is_present() || mmio.is_frozen() {
            return Err(Raced);
        }
        self.0.replace(mmio)
    }

    /// Links an empty table made [for this entry](NewTable::for_entry).
    #[inline(always)]
    pub fn link(self, new: NewTable) -> Result<(Change, Table<'r>), LinkError<NewTable>> {
        if !new.was_made_for(&self.0) {
            return Err(LinkError(new));
        }
        match self.0.replace(new.link_spte()) {
            Ok(change) => Ok((change, new.linked(&self.0.cx))),
            Err(_) => Err(LinkError(new)),
        }
    }
}

impl<'r, M: Locked> Leaf<'r, M> {
    /// Unmaps the memory. The flush is owed for what TLBs still hold.
    #[inline(always)]
    pub fn zap(self) -> Result<(Change, Flush), M::Raced> {
        Ok((self.0.replace(NONPRESENT)?, Flush::owed()))
    }

    /// Takes `bits` away.
    ///
    /// No flush is owed here: dirty logging flushes when it hands bits to userspace, and who takes
    /// the right to write away for write tracking has the flush from [`write_track`].
    ///
    /// [`write_track`]: Self::write_track
    #[inline(always)]
    pub fn clear(self, bits: LeafBits) -> Result<Change, M::Raced> {
        self.0.replace(self.0.old.without(bits.mask()))
    }

    /// Makes every further write fault, until write tracking ends. CPUs may still hold writable
    /// translations, even if the entry was not writable any more: hence the flush.
    #[inline(always)]
    pub fn write_track(self) -> Result<(Change, Flush), M::Raced> {
        Ok((self.clear(LeafBits::write_tracked())?, Flush::owed()))
    }

    /// Puts a table that maps the same memory in small pages in the place of a huge page.
    ///
    /// No flush: old and new translations are the same.
    #[inline(always)]
    pub fn split(self, table: SplitTable) -> Result<(Change, Table<'r>), LinkError<SplitTable>> {
        if !table.was_made_for(&self.0) {
            return Err(LinkError(table));
        }
        match self.0.replace(table.link_spte()) {
            Ok(change) => Ok((change, table.linked(&self.0.cx))),
            Err(_) => Err(LinkError(table)),
        }
    }
}

impl Leaf<'_, Shared> {
    /// Changes permissions and tracking of a mapping.
    ///
    /// The flush is owed if the right to write was taken away for write tracking.
    #[inline(always)]
    pub fn update(self, leaf: LeafSpte) -> Result<(Change, Option<Flush>), UpdateError> {
        if leaf.level() != self.0.level {
            return Err(UpdateError::Raced);
        }
        if leaf.spte().pfn() != self.0.old.pfn() {
            return Err(UpdateError::OtherPfn);
        }
        let tracked = self.0.old.is_mmu_writable() && !leaf.spte().is_mmu_writable();
        match self.0.replace(leaf.spte()) {
            Ok(change) => Ok((change, tracked.then(Flush::owed))),
            Err(_) => Err(UpdateError::Raced),
        }
    }
}

impl<M: Mode> Leaf<'_, M> {
    /// Marks the memory as not accessed: `new` must be the same leaf made old.
    ///
    /// Works without `mmu_lock`. Fails if the entry changed, which means that it is in use or gone.
    #[inline(always)]
    pub fn age(self, new: impl FnOnce(Spte) -> Spte) -> Result<Change, Raced> {
        let entry = &self.0;
        let new = LeafSpte::new(new(entry.old), entry.level).spte();
        if new.pfn() != entry.old.pfn() {
            return Err(Raced);
        }
        match entry.cell.compare_exchange(entry.old, new) {
            Ok(()) => Ok(entry.changed(entry.old, new)),
            Err(_) => Err(Raced),
        }
    }
}

impl<M: Locked<Raced = core::convert::Infallible>> Leaf<'_, M> {
    /// Takes `bits` away, keeping whatever hardware changes at the same time.
    #[inline(always)]
    pub fn clear_atomically(self, bits: LeafBits) -> Change {
        let entry = &self.0;
        let old = if entry.old.is_volatile() {
            entry.cell.fetch_clear(bits.mask())
        } else {
            entry.cell.store(entry.old.without(bits.mask()));
            entry.old
        };
        entry.changed(old, old.without(bits.mask()))
    }
}

impl<'r, M: Mode> Link<'r, M> {
    /// The table that the entry linked.
    #[inline(always)]
    pub fn table(&self) -> Table<'r> {
        // By the type's invariant the value came from a live entry that linked a table.
        Table::linked_by(self.0.old, self.0.level, &self.0.cx)
    }
}

/// What came of cutting a table off.
///
/// The table is missing only if the value was stale: under the lock for write nothing keeps a
/// caller from reading an entry twice and cutting it twice, but the second cut finds no link.
pub type TableRemoval<'r, M> = (Change, Option<RemovedTable<'r, M>>, Flush);

impl<'r, M: Locked> Link<'r, M> {
    /// Unmaps everything below.
    #[inline(always)]
    pub fn zap(self) -> Result<TableRemoval<'r, M>, M::Raced> {
        self.cut(NONPRESENT)
    }

    /// Maps the whole span by one huge page in the place of the table.
    ///
    /// A leaf made for another level zaps the entry instead: that is always safe.
    #[inline(always)]
    pub fn collapse(self, leaf: LeafSpte) -> Result<TableRemoval<'r, M>, M::Raced> {
        if leaf.level() != self.0.level {
            return self.cut(NONPRESENT);
        }
        self.cut(leaf.spte())
    }

    #[inline(always)]
    fn cut(self, new: Spte) -> Result<TableRemoval<'r, M>, M::Raced> {
        let entry = &self.0;
        let change = entry.changed(M::replace_link(entry.cell, entry.old, new)?, new);
        let removed = RemovedTable::unlinked_from(change.old, entry.level, entry.cx);
        Ok((change, removed, Flush::owed()))
    }
}
