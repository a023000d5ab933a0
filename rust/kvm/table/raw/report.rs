// SPDX-License-Identifier: GPL-2.0

//! What tracepoints hear of the MMU's work.
//!
//! Safe faces of the events in `trace.rs`. A disabled tracepoint costs a NOP.

use super::page::ShadowPage;
use crate::kvm::{
    lock::Mode,
    spte::Spte,
    table::{
        context::Context,
        entry::{Change, EntrySnapshot}, //
    },
    trace,
    types::{Gfn, Level}, //
};

/// `kvm_mmu_get_page`: a page table came into use.
#[inline(always)]
pub(super) fn page_created(page: &ShadowPage) {
    // SAFETY: The header is alive.
    unsafe { trace::page_created(page.as_ptr()) };
}

/// `kvm_mmu_prepare_zap_page`: a page table was unlinked.
#[inline(always)]
pub(in crate::kvm::table) fn page_zapped(page: &ShadowPage) {
    // SAFETY: The header is alive.
    unsafe { trace::prepare_zap_page(page.as_ptr()) };
}

/// `kvm_tdp_mmu_spte_changed`: an entry changed.
#[inline(always)]
pub fn spte_changed<M: Mode>(cx: &Context<'_, M>, change: &Change) {
    trace::spte_changed(
        cx.role().address_space().raw(),
        change.gfn.raw(),
        change.level.raw().into(),
        change.old.raw(),
        change.new.raw(),
    );
}

/// `kvm_mmu_set_spte`: a fault was resolved at `at`.
#[inline(always)]
pub fn spte_set(at: &EntrySnapshot<'_>) {
    let sptep = at.cell.as_ptr();
    // SAFETY: The entry lies in a table that is alive during the call.
    unsafe { trace::set_spte(at.level.raw().into(), at.gfn.raw(), sptep) };
}

/// `mark_mmio_spte`: the entry at `at` now says that its frame is emulated MMIO.
#[inline(always)]
pub fn mmio_marked(at: &EntrySnapshot<'_>, mmio: Spte) {
    trace::mark_mmio_spte(at.cell.as_ptr(), at.gfn.raw(), mmio.raw());
}

/// Why splitting a huge page did not work, as `kvm_mmu_split_huge_page` shows it.
#[derive(Clone, Copy)]
pub enum SplitResult {
    /// It did work.
    Done,
    /// The entry changed.
    Raced,
    /// There was no memory for the table.
    NoMemory,
}

/// `kvm_mmu_split_huge_page`: the huge page `spte` at `gfn` was split, or not.
#[inline(always)]
pub fn huge_page_split(gfn: Gfn, spte: Spte, level: Level, result: SplitResult) {
    let errno = match result {
        SplitResult::Done => 0,
        SplitResult::Raced => -(kernel::bindings::EBUSY as i32),
        SplitResult::NoMemory => -(kernel::bindings::ENOMEM as i32),
    };
    trace::split_huge_page(gfn.raw(), spte.raw(), level.raw().into(), errno);
}
