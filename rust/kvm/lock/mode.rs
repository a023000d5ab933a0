// SPDX-License-Identifier: GPL-2.0

//! The ways in which `mmu_lock` can be held, as types.

#![forbid(unsafe_code)]

use crate::{
    kvm::{
        spte::{Spte, SpteCell, FROZEN},
        types::Level, //
    },
    sync::cpu_relax, //
};
use core::convert::Infallible;

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Shared {}
    impl Sealed for super::Exclusive {}
    impl Sealed for super::Lockless {}
}

/// `mmu_lock` is held for read: others change entries at the same time.
pub enum Shared {}

/// `mmu_lock` is held for write: nobody but hardware and the fast page-fault path changes entries.
pub enum Exclusive {}

/// `mmu_lock` is not held: tables stay allocated (RCU), and that is all.
pub enum Lockless {}

/// The entry no longer holds the value that the decision was based on. Nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raced;

/// The right to write to the memory of an entry.
///
/// `Locked` is public, and code that is generic over it can name what it has without an import. So
/// each of its functions that writes asks for one of these.
///
/// # Invariants
///
/// Made in `rust/kvm` alone, where a transition has checked what it is about to write.
pub struct MayWrite(());

impl MayWrite {
    /// Only for the transitions of entries.
    #[inline(always)]
    pub(in crate::kvm) fn transition() -> Self {
        Self(())
    }
}

/// How a walk excludes others.
pub trait Mode: sealed::Sealed + Sized + 'static {}

impl Mode for Shared {}
impl Mode for Exclusive {}
impl Mode for Lockless {}

/// A [`Mode`] in which `mmu_lock` is held one way or the other.
pub trait Locked: Mode {
    /// Whether others may hold the lock too.
    const SHARED: bool;

    /// How a transition can fail: [`Raced`], or not at all.
    type Raced: core::fmt::Debug;

    /// Puts `new` in the place of `old`, which was read from `cell` in a table of `level`.
    ///
    /// Returns the value that was replaced; it differs from `old` at most in bits that hardware
    /// or the fast page-fault path set in the meantime.
    fn replace(
        may: MayWrite,
        cell: &SpteCell,
        old: Spte,
        new: Spte,
        level: Level,
    ) -> Result<Spte, Self::Raced>;

    /// Clears the bits in `mask` of the leaf `old`, which was read from `cell`.
    ///
    /// Returns the value that had them. Bits that hardware or the fast page-fault path set in the
    /// meantime are in it, and stay set.
    fn clear(may: MayWrite, cell: &SpteCell, old: Spte, mask: u64) -> Result<Spte, Self::Raced>;

    /// Puts `new` in the place of a link, and returns the very value that was replaced: whoever
    /// gets it owns the table.
    fn replace_link(
        may: MayWrite,
        cell: &SpteCell,
        old: Spte,
        new: Spte,
    ) -> Result<Spte, Self::Raced>;

    /// Takes the value out of `cell` of a table that was cut off, leaving it
    /// [`FROZEN`]. `None` if there was nothing to account for.
    fn take(may: MayWrite, cell: &SpteCell, level: Level) -> Option<Spte>;
}

impl Locked for Shared {
    const SHARED: bool = true;
    type Raced = Raced;

    #[inline(always)]
    fn replace(
        _may: MayWrite,
        cell: &SpteCell,
        old: Spte,
        new: Spte,
        _level: Level,
    ) -> Result<Spte, Raced> {
        match cell.compare_exchange(old, new) {
            Ok(()) => Ok(old),
            Err(_) => Err(Raced),
        }
    }

    #[inline(always)]
    fn clear(may: MayWrite, cell: &SpteCell, old: Spte, mask: u64) -> Result<Spte, Raced> {
        Self::replace(may, cell, old, old.without(mask), Level::PG_4K)
    }

    #[inline(always)]
    fn replace_link(may: MayWrite, cell: &SpteCell, old: Spte, new: Spte) -> Result<Spte, Raced> {
        // RCU keeps tables allocated while their links are looked at: the same value means the same
        // table.
        Self::replace(may, cell, old, new, Level::MAX)
    }

    #[inline(always)]
    fn take(_may: MayWrite, cell: &SpteCell, _level: Level) -> Option<Spte> {
        // A fault that found the table before it was cut off may still install a value, and a
        // frozen entry belongs to someone who will: wait until it is ours to freeze.
        loop {
            let old = cell.swap(FROZEN);
            if !old.is_frozen() {
                return Some(old);
            }
            cpu_relax();
        }
    }
}

impl Locked for Exclusive {
    const SHARED: bool = false;
    type Raced = Infallible;

    #[inline(always)]
    fn replace(
        _may: MayWrite,
        cell: &SpteCell,
        old: Spte,
        new: Spte,
        level: Level,
    ) -> Result<Spte, Infallible> {
        if old.is_leaf(level) && old.is_volatile() {
            return Ok(cell.swap(new));
        }
        cell.store(new);
        Ok(old)
    }

    #[inline(always)]
    fn clear(_may: MayWrite, cell: &SpteCell, old: Spte, mask: u64) -> Result<Spte, Infallible> {
        if old.is_volatile() {
            return Ok(cell.fetch_clear(mask));
        }
        cell.store(old.without(mask));
        Ok(old)
    }

    #[inline(always)]
    fn replace_link(
        _may: MayWrite,
        cell: &SpteCell,
        _old: Spte,
        new: Spte,
    ) -> Result<Spte, Infallible> {
        Ok(cell.swap(new))
    }

    #[inline(always)]
    fn take(may: MayWrite, cell: &SpteCell, level: Level) -> Option<Spte> {
        // Nobody can make an absent entry present now. A present one is taken atomically where
        // it may be volatile: TLBs are not flushed yet, so hardware may still set its dirty bit.
        let old = cell.load();
        if !old.is_present() {
            return None;
        }
        let Ok(old) = Self::replace(may, cell, old, FROZEN, level);
        Some(old)
    }
}
