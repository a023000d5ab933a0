// SPDX-License-Identifier: GPL-2.0

//! Recovery of huge pages after dirty logging, in place and with `mmu_lock` held for read.
//!
//! For each table that could be a huge page the walk starts a second walk *rooted at that table*,
//! which looks for any leaf: its pfn and permissions are those of the whole huge page. There is no
//! stepping up and no entry that is read twice. The link is replaced by compare-and-exchange, so
//! it still linked the table that the leaf was found in.
//!
//! Why a leaf's permissions hold for the huge page: no frame of it is write-tracked, as KVM would
//! not allow a huge page then; and a present leaf means that no notifier has passed yet that would
//! have zapped it.
//!
//! A notifier may have given way in the middle of the table, though. A huge page would map again
//! what it has zapped already, and if that were split before it comes back, it would go on behind
//! those pages and never see them. Switching logging on does not split it, as that waits until no
//! notifier is active. `KVM_RESET_DIRTY_RINGS` may: it does not look whether a slot is logged. So
//! recovery asks what faults ask: is the memory about to go? C does not, and takes the risk.
//!
//! C counterpart: `kvm_tdp_mmu_recover_huge_pages()`.

use super::{
    change::collapse_link,
    each_root::for_each_root,
    leaf::huge_from_small,
    visitor::{GiveWay, Step, VisitContext, Visitor},
    walk::walk, //
};
use crate::kvm::{
    table::{Link, Table},
    Context,
    Entry,
    GfnRange,
    Level,
    MemSlot,
    MmuLock,
    PendingFlush,
    RootFilter,
    Shared,
    Spte,
    State, //
};
use core::ops::ControlFlow;

/// Replaces tables by huge pages.
struct Recover<'a> {
    slot: &'a MemSlot,
}

impl Visitor<Shared> for Recover<'_> {
    const REMOVES_TABLES: bool = true;

    #[inline(always)]
    fn min_level(&self) -> Level {
        Level::PG_2M
    }

    #[inline(always)]
    fn wants(&self, spte: Spte, level: Level) -> bool {
        level <= Level::MAX_HUGEPAGE && !spte.is_last(level)
    }

    #[inline(always)]
    fn visit(&mut self, entry: Entry<'_, Shared>, context: &mut VisitContext<'_, '_>) -> Step {
        let cx = entry.cx();
        let State::Link(link) = entry.state() else {
            return Step::Next;
        };
        if !self.could_be_huge(&link) {
            return Step::Next;
        }
        let level = link.level();
        let small = match first_leaf(cx, link.table(), context) {
            Found::Leaf(spte) => spte,
            Found::Nothing => return Step::Next,
            // The walk gives way, as it has got further: the second walk has no say in that.
            Found::GiveWay => return Step::Again,
        };
        match collapse_link(link, huge_from_small(cx.vm(), small, level)) {
            Ok(flush) => {
                context.flush.add(flush);
                Step::Next
            }
            Err(error) => error.into(),
        }
    }
}

impl Recover<'_> {
    /// Whether slot and host permit a huge page there. A page that starts before the slot is not
    /// looked up at all: the slot has no information on it. Nor is private memory, which is not the
    /// host's to map: its tables are left from before it was made private, and map nothing.
    ///
    /// Invalidations are asked about last, for most tables fail before: the answer is the same during a hold of the lock.
    #[inline(always)]
    fn could_be_huge(&self, link: &Link<'_, Shared>) -> bool {
        let (cx, gfn) = (link.cx(), link.gfn());
        self.slot.range().contains(gfn)
            && !cx.vm().is_private(gfn)
            && cx
                .vm()
                .max_mapping_level(self.slot, gfn)
                .is_some_and(|max| max >= link.level())
            && !cx.is_invalidating(GfnRange::sized(gfn, link.level().pages()))
    }
}

/// What the second walk came back with.
enum Found {
    Leaf(Spte),
    Nothing,
    GiveWay,
}

/// The first leaf below a table.
fn first_leaf(cx: Context<'_, Shared>, table: Table<'_>, context: &VisitContext<'_, '_>) -> Found {
    let level = table.level();
    for (index, cell) in table.cells().iter().enumerate() {
        let spte = cell.load();
        if spte.is_leaf(level) {
            return if context.should_give_way() {
                Found::GiveWay
            } else {
                Found::Leaf(spte)
            };
        }
        if !spte.is_present() {
            continue;
        }
        let gfn = table.gfn().add(index as u64 * level.pages());
        if let Some(State::Link(link)) = Entry::read(cx, table, gfn).map(Entry::state) {
            match first_leaf(cx, link.table(), context) {
                Found::Nothing => {}
                found => return found,
            }
        }
    }
    Found::Nothing
}

/// Maps by huge pages what `slot` has in small ones, where slot and host permit it.
///
/// Not for slots with dirty logging: their pages would only be split again.
pub fn recover_huge_pages(lock: &mut MmuLock<'_, Shared>, slot: &MemSlot) {
    if slot.is_dirty_tracked() {
        return;
    }
    let filter = RootFilter::VALID.of(slot.address_space());
    for_each_root(lock, filter, |lock, root| {
        let mut flush = PendingFlush::in_slot(lock.vm(), slot);
        walk(
            lock,
            root,
            slot.range(),
            GiveWay::WhenAsked,
            &mut flush,
            &mut Recover { slot },
        );
        ControlFlow::Continue(())
    });
}
