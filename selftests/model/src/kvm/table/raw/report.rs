// SPDX-License-Identifier: GPL-2.0

//! What tracepoints hear of the MMU's work. Here the VM judges each change that is reported.

use super::page::ShadowPage;
use crate::kvm::{
    lock::Mode,
    spte::Spte,
    table::{
        context::Context,
        entry::{Change, EntrySnapshot},
    },
    types::{Gfn, GfnRange, Level},
};

pub(in crate::kvm::table) fn page_zapped(_page: &ShadowPage) {}

/// An entry changed. What C only warns about fails the test.
pub fn spte_changed<M: Mode>(cx: &Context<'_, M>, change: &Change) {
    let (old, new, level) = (change.old, change.new, change.level);
    assert!(!old.is_frozen(), "a frozen entry was written: {change:?}");
    assert_eq!(change.gfn, change.gfn.round_down(level), "{change:?}");
    if old.is_present() {
        let mmio = !new.is_present() && cx.vm().is_mmio_spte(new);
        assert!(!mmio, "a present entry became MMIO: {change:?}");
    }
    if old.is_leaf(level) && new.is_leaf(level) {
        assert_eq!(old.pfn(), new.pfn(), "a leaf changed its pfn: {change:?}");
    }
    if revokes(change) && !cx.role().is_invalid() {
        let page = GfnRange::sized(change.gfn, level.pages());
        cx.vm().debt.owe(page);
    }
    cx.vm().stats.changes.add(1);
}

/// Whether CPUs may go on with what is not allowed any more, or with a table that was cut off.
/// Dirty logging takes rights away that the next write gets back; C flushes when it needs that.
fn revokes(change: &Change) -> bool {
    let (old, new, level) = (change.old, change.new, change.level);
    if old.is_table(level) {
        return old != new;
    }
    let write_tracked = new.is_leaf(level) && !new.is_mmu_writable();
    old.is_leaf(level) && (!new.is_present() || old.is_mmu_writable() && write_tracked)
}

/// A fault was resolved at `at`.
pub fn spte_set(_at: &EntrySnapshot<'_>) {}

/// The entry at `at` is MMIO.
pub fn mmio_marked(_at: &EntrySnapshot<'_>, _mmio: Spte) {}

/// Why splitting a huge page did not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // See rust/kvm/table/raw/report.rs.
pub enum SplitResult {
    Done,
    Raced,
    NoMemory,
}

/// A huge page was split, or not.
pub fn huge_page_split(_gfn: Gfn, _spte: Spte, _level: Level, _result: SplitResult) {}
