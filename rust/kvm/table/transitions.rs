// SPDX-License-Identifier: GPL-2.0

//! The transitions from each state of an entry.
//!
//! Each consumes the state that it starts from, and says by its type what has to follow.

#![forbid(unsafe_code)]

use super::{
    entry::{Absent, Change, Entry, Leaf, LeafBits, Link},
    new::{NewTable, SplitTable},
    page::Table,
    removed::RemovedTable, //
};
use crate::kvm::{
    lock::{Flush, Locked, Lockless, MayWrite, Mode, Raced, Shared},
    spte::{masks, LeafSpte, Spte, NONPRESENT, WRITABLE}, //
};

/// Why a transition did not happen. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransitionError<R = Raced> {
    /// The entry changed in the meantime: look at it again.
    Raced(R),
    /// No entry may become what was asked for. That is a bug of this module, or of C's when it
    /// looked up the pfn, so the VM is marked as broken and trying again is of no use.
    Refused,
}

impl<R> From<R> for TransitionError<R> {
    #[inline(always)]
    fn from(raced: R) -> Self {
        Self::Raced(raced)
    }
}

/// Why a table could not be linked; the table comes back.
pub struct LinkError<T, R = Raced> {
    /// The table.
    pub table: T,
    /// What kept it from being linked.
    pub error: TransitionError<R>,
}

impl<M: Mode> Entry<'_, M> {
    /// Marks the VM as broken: somebody asked for what no entry may become.
    #[cold]
    fn refuse<R>(&self) -> TransitionError<R> {
        self.cx.vm().bug();
        TransitionError::Refused
    }
}

impl<'r> Absent<'r, Shared> {
    /// Maps memory. A leaf that was made for another level is refused.
    #[inline(always)]
    pub fn map(self, leaf: LeafSpte) -> Result<Change, TransitionError> {
        if leaf.level() != self.0.level {
            return Err(self.0.refuse());
        }
        Ok(self.0.replace(leaf.spte())?)
    }

    /// Notes that the frame is emulated MMIO. A value that is present or frozen is refused.
    #[inline(always)]
    pub fn set_mmio(self, mmio: Spte) -> Result<Change, TransitionError> {
        if mmio.is_present() || mmio.is_frozen() {
            return Err(self.0.refuse());
        }
        Ok(self.0.replace(mmio)?)
    }

    /// Links an empty table. One that was made [for another entry](NewTable::for_entry) is refused.
    #[inline(always)]
    pub fn link(self, table: NewTable) -> Result<(Change, Table<'r>), LinkError<NewTable>> {
        if !table.was_made_for(&self.0) {
            let error = self.0.refuse();
            return Err(LinkError { table, error });
        }
        match self.0.replace(table.link_spte()) {
            Ok(change) => Ok((change, table.linked(&self.0.cx))),
            Err(raced) => Err(LinkError {
                table,
                error: raced.into(),
            }),
        }
    }
}

impl<'r, M: Locked> Leaf<'r, M> {
    /// Unmaps the memory. The flush is owed for what TLBs still hold.
    #[inline(always)]
    pub fn zap(self) -> Result<(Change, Flush), M::Raced> {
        Ok((self.0.replace(NONPRESENT)?, Flush::owed()))
    }

    /// Takes `bits` away, and leaves what hardware changes at the same time.
    ///
    /// No flush is owed here: dirty logging flushes when it hands bits to userspace, and who takes
    /// the right to write away for write tracking has the flush from [`write_track`].
    ///
    /// [`write_track`]: Self::write_track
    #[inline(always)]
    pub fn clear(self, bits: LeafBits) -> Result<Change, M::Raced> {
        let old = M::clear(MayWrite::transition(), self.0.cell, self.0.old, bits.mask())?;
        Ok(self.0.changed(old, old.without(bits.mask())))
    }

    /// Makes every further write fault, until write tracking ends. CPUs may still hold writable
    /// translations, even if the entry was not writable any more: hence the flush.
    #[inline(always)]
    pub fn write_track(self) -> Result<(Change, Flush), M::Raced> {
        Ok((self.clear(LeafBits::write_tracked())?, Flush::owed()))
    }

    /// Puts a table that maps the same memory in small pages in the place of a huge page. A table
    /// that was not made for this entry is refused.
    ///
    /// No flush: old and new translations are the same.
    #[inline(always)]
    pub fn split(
        self,
        table: SplitTable,
    ) -> Result<(Change, Table<'r>), LinkError<SplitTable, M::Raced>> {
        if !table.was_made_for(&self.0) {
            let error = self.0.refuse();
            return Err(LinkError { table, error });
        }
        match self.0.replace(table.link_spte()) {
            Ok(change) => Ok((change, table.linked(&self.0.cx))),
            Err(raced) => Err(LinkError {
                table,
                error: raced.into(),
            }),
        }
    }
}

impl Leaf<'_, Shared> {
    /// Changes permissions and tracking of a mapping. A leaf of another level is refused, and one
    /// that maps another pfn: a notifier should have zapped the old one before the host changed its
    /// mapping.
    ///
    /// The flush is owed if the right to write was taken away for write tracking.
    #[inline(always)]
    pub fn update(self, leaf: LeafSpte) -> Result<(Change, Option<Flush>), TransitionError> {
        if leaf.level() != self.0.level || leaf.spte().pfn() != self.0.old.pfn() {
            return Err(self.0.refuse());
        }
        let tracked = self.0.old.is_mmu_writable() && !leaf.spte().is_mmu_writable();
        let change = self.0.replace(leaf.spte())?;
        Ok((change, tracked.then(Flush::owed)))
    }
}

impl<M: Mode> Leaf<'_, M> {
    /// Marks the memory as not accessed: `aged` makes the same leaf old. One that maps another pfn
    /// is refused.
    ///
    /// Works without `mmu_lock`. Fails if the entry changed, which means that it is in use or gone.
    #[inline(always)]
    pub fn age(self, aged: impl FnOnce(Spte) -> Spte) -> Result<Change, TransitionError> {
        let entry = &self.0;
        let new = LeafSpte::new(aged(entry.old), entry.level).spte();
        if new.pfn() != entry.old.pfn() {
            return Err(entry.refuse());
        }
        match entry.cell.compare_exchange(entry.old, new) {
            Ok(()) => Ok(entry.changed(entry.old, new)),
            Err(_) => Err(Raced.into()),
        }
    }
}

impl Leaf<'_, Lockless> {
    /// Gives rights back that aging or dirty logging took away. One that maps another pfn is refused, one
    /// that gains the right to write without being MMU-writable, and one that becomes MMU-writable or
    /// host-writable.
    ///
    /// Fails if the entry changed.
    #[inline(always)]
    pub fn restore(self, restored: Spte) -> Result<(), TransitionError> {
        let entry = &self.0;
        let new = LeafSpte::new(restored, entry.level).spte();
        let gained = new.raw() & !entry.old.raw();
        let may_not = match entry.old.is_mmu_writable() {
            true => masks::host_writable(),
            false => WRITABLE | masks::mmu_writable() | masks::host_writable(),
        };
        if new.pfn() != entry.old.pfn() || gained & may_not != 0 {
            return Err(entry.refuse());
        }
        entry
            .cell
            .compare_exchange(entry.old, new)
            .map_err(|_| Raced.into())
    }
}

impl<'r, M: Mode> Link<'r, M> {
    /// The table that the entry linked.
    #[inline(always)]
    pub fn table(&self) -> Table<'r> {
        // By the type's invariant the value came from a live entry that linked a table.
        Table::linked_by(self.0.old, self.0.gfn(), self.0.level, &self.0.cx)
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

    /// Maps the whole span by one huge page in the place of the table. A leaf that was made for
    /// another level is refused.
    #[inline(always)]
    pub fn collapse(
        self,
        leaf: LeafSpte,
    ) -> Result<TableRemoval<'r, M>, TransitionError<M::Raced>> {
        if leaf.level() != self.0.level {
            return Err(self.0.refuse());
        }
        Ok(self.cut(leaf.spte())?)
    }

    #[inline(always)]
    fn cut(self, new: Spte) -> Result<TableRemoval<'r, M>, M::Raced> {
        let entry = &self.0;
        let old = M::replace_link(MayWrite::transition(), entry.cell, entry.old, new)?;
        let change = entry.changed(old, new);
        let removed = RemovedTable::unlinked_by(&change, entry.cx);
        Ok((change, removed, Flush::owed()))
    }
}
