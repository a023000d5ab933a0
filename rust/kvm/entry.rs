// SPDX-License-Identifier: GPL-2.0

//! Entries of live page tables and the transitions that they allow.
//!
//! An [`Entry`] is a place in a table together with the value read from it. Its [`State`] decides
//! what can be done:
//!
//! ```text
//!             map, set_mmio, link                 zap
//!   Absent ─────────────────────────▶ Leaf/Link ───────▶ Absent
//!   Leaf ── clear, update (same pfn) ▶ Leaf
//!   Leaf ── split ─▶ Link            Link ── collapse ─▶ Leaf
//!   Frozen: nothing
//! ```
//!
//! There is no other transition: a present entry never becomes an MMIO entry, a leaf never maps
//! another pfn than before, and a frozen entry is never written. Each transition acts on the value
//! that was read ([`Shared`]: compare-and-exchange, which fails if the entry changed; `Exclusive`:
//! a store, or an exchange where hardware or the fast page-fault path may set bits).
//! What it replaced comes back as a [`Change`] to be accounted, with the [`RemovedTable`] it cut
//! off and the [`Flush`] it made necessary.
//!
//! An entry borrows from the lock hold and RCU section that its [`Context`] stands for, so none
//! survives a yield.
//!
//! The host build compiles this very file.

use super::{
    cell::SpteCell,
    flush::Flush,
    masks,
    mode::{Locked, Mode, Raced, Shared},
    page::{NewTable, RemovedTable, SplitTable, Table},
    spte::{LeafSpte, Spte, NONPRESENT, WRITABLE},
    types::{Gfn, Level},
    Role,
    Vm, //
};

/// What all entries of one walk have in common.
///
/// # Invariants
///
/// For `'r` an RCU read-side section is open, and `mmu_lock` is held as `M` says.
pub struct Context<'r, M: Mode> {
    vm: &'r Vm,
    role: Role,
    _mode: core::marker::PhantomData<&'r M>,
}

impl<'r, M: Mode> Context<'r, M> {
    /// Joins the proofs of a lock hold (`proof`) and of an RCU section (`rcu`) for a walk of the
    /// tree that belongs to a root with `role`.
    #[inline(always)]
    pub fn new(proof: &'r M::Proof<'_>, _rcu: &'r impl crate::sync::Rcu, role: Role) -> Self {
        // INVARIANT: Both proofs are borrowed for `'r`.
        Self {
            vm: M::vm(proof),
            role,
            _mode: core::marker::PhantomData,
        }
    }

    /// The VM.
    #[inline(always)]
    pub fn vm(&self) -> &'r Vm {
        self.vm
    }

    /// The role of the root; that of every table below it but for the level.
    #[inline(always)]
    pub fn role(&self) -> Role {
        self.role
    }
}

impl<M: Mode> Clone for Context<'_, M> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: Mode> Copy for Context<'_, M> {}

/// A place in a live table, and the value last read from it.
///
/// # Invariants
///
/// `cell` is the entry for `gfn` in a table of `level` that is alive for `'r`, and `old` was read
/// from it. `gfn` is aligned to what the entry spans.
pub struct Entry<'r, M: Mode> {
    cell: &'r SpteCell,
    cx: Context<'r, M>,
    old: Spte,
    gfn: Gfn,
    level: Level,
}

/// Where an entry is and what it held, without any right to change it.
#[derive(Clone, Copy)]
pub struct Place<'r> {
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
    /// Reads the entry for `gfn` of `table`.
    #[inline(always)]
    pub fn read(cx: Context<'r, M>, table: Table<'r>, gfn: Gfn) -> Self {
        let level = table.level();
        let cell = table.cell(level.index(gfn));
        Self::with_value(cx, cell, cell.load(), level, gfn.round_down(level))
    }

    /// An entry whose value the caller has just read.
    #[inline(always)]
    pub(super) fn with_value(
        cx: Context<'r, M>,
        cell: &'r SpteCell,
        old: Spte,
        level: Level,
        gfn: Gfn,
    ) -> Self {
        Self {
            cell,
            cx,
            old,
            gfn,
            level,
        }
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

    /// The place alone, for what outlives a transition.
    #[inline(always)]
    pub fn place(&self) -> Place<'r> {
        Place {
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
    fn changed(&self, old: Spte, new: Spte) -> Change {
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
    fn replace(&self, new: Spte) -> Result<Change, M::Raced> {
        let old = M::replace(self.cell, self.old, new, self.level)?;
        Ok(self.changed(old, new))
    }
}

macro_rules! entry_state {
    ($(#[$attr:meta])* $name:ident) => {
        $(#[$attr])*
        pub struct $name<'r, M: Mode>(Entry<'r, M>);

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
        if !new.is_for(&self.0) {
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
        if !table.is_for(&self.0) {
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
pub type Cut<'r, M> = (Change, Option<RemovedTable<'r, M>>, Flush);

impl<'r, M: Locked> Link<'r, M> {
    /// Unmaps everything below.
    #[inline(always)]
    pub fn zap(self) -> Result<Cut<'r, M>, M::Raced> {
        self.cut(NONPRESENT)
    }

    /// Maps the whole span by one huge page in the place of the table.
    ///
    /// A leaf made for another level zaps the entry instead: that is always safe.
    #[inline(always)]
    pub fn collapse(self, leaf: LeafSpte) -> Result<Cut<'r, M>, M::Raced> {
        if leaf.level() != self.0.level {
            return self.cut(NONPRESENT);
        }
        self.cut(leaf.spte())
    }

    #[inline(always)]
    fn cut(self, new: Spte) -> Result<Cut<'r, M>, M::Raced> {
        let entry = &self.0;
        let change = entry.changed(M::replace_link(entry.cell, entry.old, new)?, new);
        let removed = RemovedTable::unlinked_from(change.old, entry.level, entry.cx);
        Ok((change, removed, Flush::owed()))
    }
}
