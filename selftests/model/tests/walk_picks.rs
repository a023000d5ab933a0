// SPDX-License-Identifier: GPL-2.0

//! Walks of visitors that pick frames.

mod common;

use common::{frame, guest_with, memory, vcpu, vm_with, Options, PAGES};
use kvmrs_model::{
    kvm::{Entry, Gfn, GfnRange, Level, PendingFlush, Shared, Spte, Vcpu, Vm},
    machine::npt,
    tdp_mmu::{
        dirty::{self, LogBy},
        visitor::{GiveWay, Step, VisitContext, Visitor, Wanted},
        walk::walk,
    },
    world::{
        breaks::{ALWAYS, NEVER},
        cpu::Access,
        kvm,
        view::Tree,
    },
};
use proptest::prelude::*;
use std::{cell::Cell, collections::BTreeSet, sync::Arc};

/// Notes the 4K leaves that it visits, of the frames that it wants.
struct Sparse {
    frames: BTreeSet<Gfn>,
    /// How many it wants at once, beside the first.
    at_once: u64,
    /// How many frames it passes before it says that it wants none of them.
    passes: u64,
    /// Number of small pages that it was asked about.
    asked: Cell<usize>,
    seen: Vec<Gfn>,
}

impl Visitor<Shared> for Sparse {
    const PICKS: bool = true;

    fn next_wanted(&self, gfn: Gfn) -> Wanted {
        let mut next = self.frames.range(gfn..).copied();
        let first = next.next().unwrap_or(Gfn::new(u64::MAX));
        if first.offset_from(gfn) > self.passes {
            let first = gfn.add(self.passes);
            return Wanted { first, mask: 0 };
        }
        // Not all that there is room for: the next word may begin anywhere.
        let bits = next
            .map(|gfn| gfn.offset_from(first))
            .take(self.at_once as usize);
        let mask = bits
            .take_while(|bit| *bit < 64)
            .fold(1, |mask, bit| mask | 1 << bit);
        Wanted { first, mask }
    }

    fn wants(&self, _: Spte, level: Level) -> bool {
        let small = level == Level::PG_4K;
        self.asked.set(self.asked.get() + usize::from(small));
        small
    }

    fn visit(&mut self, entry: Entry<'_, Shared>, _: &mut VisitContext<'_, '_>) -> Step {
        self.seen.push(entry.gfn());
        Step::Next
    }
}

/// A VM with the frames of `pages` mapped by small pages.
fn mapped(pages: impl IntoIterator<Item = u64>) -> (Arc<Vm>, Vcpu) {
    let vm = vm_with(npt(), memory(), Level::PG_4K, Options::default());
    let vcpu = vcpu(&vm);
    for page in pages {
        kvm::guest_access(&vcpu, frame(page), Access::Write, |_| ());
    }
    (vm, vcpu)
}

fn walked(
    vm: &Vm,
    vcpu: &Vcpu,
    range: GfnRange,
    frames: BTreeSet<Gfn>,
    [at_once, passes]: [u64; 2],
) -> Sparse {
    let root = vcpu.root().expect("a root");
    let mut flush = PendingFlush::none(vm);
    let mut visitor = Sparse {
        frames,
        at_once,
        passes,
        asked: Cell::new(0),
        seen: Vec::new(),
    };
    let lock = &mut *vm.mmu_read();
    walk(
        lock,
        &root,
        range,
        GiveWay::WhenAsked,
        &mut flush,
        &mut visitor,
    );
    visitor
}

/// Has each entry visited twice.
struct Twice(Vec<Gfn>);

impl Visitor<Shared> for Twice {
    const PICKS: bool = true;

    fn wants(&self, _: Spte, level: Level) -> bool {
        level == Level::PG_4K
    }

    fn visit(&mut self, entry: Entry<'_, Shared>, _: &mut VisitContext<'_, '_>) -> Step {
        self.0.push(entry.gfn());
        match self.0.len() % 2 {
            0 => Step::Next,
            _ => Step::Again,
        }
    }
}

#[test]
fn what_has_changed_is_visited_again() {
    let (vm, vcpu) = mapped([0, 1, 2]);
    let root = vcpu.root().expect("a root");
    let (mut visitor, mut flush) = (Twice(Vec::new()), PendingFlush::none(&vm));
    let range = GfnRange::sized(frame(0), 3);
    walk(
        &mut *vm.mmu_read(),
        &root,
        range,
        GiveWay::WhenAsked,
        &mut flush,
        &mut visitor,
    );
    assert_eq!(visitor.0, [0, 0, 1, 1, 2, 2].map(frame));
    drop((root, flush));
    kvm::destroy(&vm, vec![vcpu]);
}

/// Notes leaves of all sizes.
struct Leaves(Vec<(Gfn, Level)>);

impl Visitor<Shared> for Leaves {
    const PICKS: bool = true;

    fn wants(&self, spte: Spte, level: Level) -> bool {
        spte.is_last(level)
    }

    fn visit(&mut self, entry: Entry<'_, Shared>, _: &mut VisitContext<'_, '_>) -> Step {
        self.0.push((entry.gfn(), entry.level()));
        Step::Next
    }
}

/// A walk that picks frames comes to the first behind its range, as the next that is wanted.
#[test]
fn a_huge_page_behind_the_range_is_not_visited() {
    let (vm, vcpu) = guest_with(npt(), Level::PG_2M);
    for page in [256, 768] {
        kvm::guest_access(&vcpu, frame(page), Access::Write, |_| ());
    }
    let root = vcpu.root().expect("a root");
    let (mut visitor, mut flush) = (Leaves(Vec::new()), PendingFlush::none(&vm));
    walk(
        &mut *vm.mmu_read(),
        &root,
        GfnRange::new(frame(0), frame(768)),
        GiveWay::WhenAsked,
        &mut flush,
        &mut visitor,
    );
    assert_eq!(visitor.0, [(frame(256), Level::PG_2M)]);
    drop((root, flush));
    kvm::destroy(&vm, vec![vcpu]);
}

/// Gives way among large entries that are not there, too, and at each: to ask what is wanted next may take long.
#[test]
fn gives_way_where_nothing_is() {
    let (vm, vcpu) = mapped([0]);
    let root = vcpu.root().expect("a root");
    let (mut visitor, mut flush) = (Leaves(Vec::new()), PendingFlush::none(&vm));
    let all = GfnRange::new(Gfn::new(0), Vm::gfn_end());
    vm.breaks.set(ALWAYS);
    let before = vm.breaks.given();
    walk(
        &mut *vm.mmu_read(),
        &root,
        all,
        GiveWay::WhenAsked,
        &mut flush,
        &mut visitor,
    );
    vm.breaks.set(NEVER);
    let given = vm.breaks.given() - before;
    // Three tables have larger entries than those of small pages, in which it looks once for 16.
    assert!(
        (511 * 3..511 * 3 + 40).contains(&given),
        "gave way {given} times"
    );
    assert_eq!(visitor.0, [(frame(0), Level::PG_4K)]);
    drop((root, flush));
    kvm::destroy(&vm, vec![vcpu]);
}

proptest! {
    #![proptest_config(common::config(64, "tests/regressions/walk_picks.txt"))]

    #[test]
    fn what_is_wanted_is_visited_and_nothing_else_is_looked_at(
        pages in prop::collection::vec(0..PAGES, 0..40),
        wanted in prop::collection::vec(0..PAGES, 0..40),
        beside in prop::collection::vec(0..PAGES, 0..8),
        at_once in 0..64_u64,
        passes in prop_oneof![200..PAGES, Just(u64::MAX)],
        start in 0..PAGES,
        length in 1..PAGES,
        pattern in prop_oneof![Just(NEVER), Just(ALWAYS), any::<u64>()],
    ) {
        // Some in a row, in two tables or at the end of the range.
        let row = |page: u64| page..(page + 80).min(PAGES);
        let pages: Vec<_> = pages.into_iter().chain(beside.iter().copied().flat_map(row)).collect();
        let wanted: Vec<_> = wanted.into_iter().chain(beside.into_iter().flat_map(row)).collect();
        let (vm, vcpu) = mapped(pages.clone());
        let range = GfnRange::sized(frame(start), length);
        let mapped: BTreeSet<_> = pages.into_iter().map(frame).collect();
        let wanted: BTreeSet<_> = wanted.into_iter().map(frame).collect();
        let both = mapped.intersection(&wanted).copied();
        let expected: Vec<_> = both.filter(|gfn| range.contains(*gfn)).collect();

        vm.breaks.set(pattern);
        let visitor = walked(&vm, &vcpu, range, wanted, [at_once, passes]);
        vm.breaks.set(NEVER);
        prop_assert_eq!(&visitor.seen, &expected);
        if pattern == NEVER {
            prop_assert_eq!(visitor.asked.get(), expected.len());
        }
        kvm::destroy(&vm, vec![vcpu]);
    }

    /// Others come after 16 frames at the latest, and not after each of them.
    #[test]
    fn walks_give_way_once_for_the_frames_that_are_wanted_at_once(
        start in 0..512_u64,
        at_once in 0..64_u64,
    ) {
        let (vm, vcpu) = mapped(start..start + 512);
        let range = GfnRange::sized(frame(start), 512);
        let wanted = (start..start + 512).map(frame).collect();
        vm.breaks.set(ALWAYS);
        let before = vm.breaks.given();
        let visitor = walked(&vm, &vcpu, range, wanted, [at_once, u64::MAX]);
        vm.breaks.set(NEVER);
        prop_assert_eq!(visitor.seen.len(), 512);
        let (given, least) = (vm.breaks.given() - before, 511 / (at_once + 1).min(16));
        // On the way into the two tables it may as well.
        prop_assert!((least..least + 4).contains(&given), "{} times, {}", given, least);
        kvm::destroy(&vm, vec![vcpu]);
    }

    /// The mask begins wherever the slot does, at any place in a table.
    #[test]
    fn pages_of_any_mask_are_made_clean(mask: u64, base in 0..PAGES - 64) {
        let (vm, vcpu) = mapped(base..base + 64);
        let lock = vm.mmu_write();
        let slot = &vm.slots()[0];
        dirty::clear_dirty_masked(&lock, slot, frame(base), mask, LogBy::WriteProtection);
        drop(lock);
        vm.flush_remote_tlbs();
        let tree = Tree::of(&vm, &vcpu.root().expect("a root"));
        for bit in 0..64 {
            let (_, _, leaf) = tree.leaf(frame(base + bit)).expect("a leaf");
            prop_assert_eq!(!leaf.is_writable(), mask >> bit & 1 != 0, "bit {}", bit);
        }
        kvm::destroy(&vm, vec![vcpu]);
    }
}
