// SPDX-License-Identifier: GPL-2.0

//! Harvests of logs with dirty pages far apart.

mod common;

use common::{config, vcpu, vm_with, Options};
use kvmrs_model::{
    kvm::{log::WantedLog, Gfn, GfnRange, Level, SlotsLocked, Vcpu, Vm},
    machine::{npt, Machine},
    world::{breaks, cpu::Access, kvm},
};
use proptest::prelude::*;
use std::{collections::BTreeSet, sync::Arc};

/// What is looked through at once, if it is empty.
const PART: u64 = 512 * 64;
/// Not the begin of a huge page.
const FIRST: u64 = 100;
const PAGES: u64 = 3 * PART + 1000;
/// Further apart than that and less, and in two tables.
const APART: [u64; 7] = [
    0,
    PART - 1,
    PART,
    2 * PART - 1,
    2 * PART + 700,
    3 * PART + 64,
    PAGES - 1,
];

fn frame(index: u64) -> Gfn {
    Gfn::new(FIRST + index)
}

fn frames(indexes: &[u64]) -> BTreeSet<Gfn> {
    indexes.iter().map(|index| frame(*index)).collect()
}

fn wide(level: Level, shadow: bool) -> (Arc<Vm>, Vcpu) {
    let range = GfnRange::sized(frame(0), PAGES);
    let vm = vm_with(npt(), range, level, Options::default());
    if shadow {
        vm.use_shadow();
    }
    let guest = vcpu(&vm);
    (vm, guest)
}

fn write(guest: &Vcpu, indexes: &[u64]) {
    for index in indexes {
        kvm::guest_access(guest, frame(*index), Access::Write, |_| ());
    }
}

/// All of them are handed over, with one flush, however often others come in between.
#[test]
fn pages_far_apart_are_handed_over_once() {
    let patterns = [breaks::NEVER, breaks::ALWAYS];
    for (shadow, pattern) in [(false, 0), (false, 1), (true, 0), (true, 1)] {
        let (vm, guest) = wide(Level::PG_4K, shadow);
        let slot = &vm.slots()[0];
        kvm::start_dirty_log(&vm, slot, kvm::Split::Eagerly);
        vm.breaks.set(patterns[pattern]);
        for _ in 0..2 {
            write(&guest, &APART);
            let flushes = vm.stats.flushes.get();
            assert_eq!(kvm::harvest(&vm, slot), frames(&APART));
            assert_eq!(vm.stats.flushes.get(), flushes + 1);
            assert!(kvm::harvest(&vm, slot).is_empty());
            assert_eq!(vm.stats.flushes.get(), flushes + 1);
        }
        vm.breaks.set(breaks::NEVER);
        kvm::destroy(&vm, vec![guest]);
    }
}

/// The walk over what is empty gives way as well: with shadow pages and without.
#[test]
fn others_come_in_where_no_page_is() {
    for shadow in [false, true] {
        let (vm, guest) = wide(Level::PG_4K, shadow);
        let slot = &vm.slots()[0];
        kvm::start_dirty_log(&vm, slot, kvm::Split::Eagerly);
        let ends = [0, PAGES - 1];
        write(&guest, &ends);
        vm.breaks.set(breaks::ALWAYS);
        let before = vm.breaks.given();
        assert_eq!(kvm::harvest(&vm, slot), frames(&ends));
        let given = vm.breaks.given() - before;
        assert!(given >= PAGES / PART, "{given} times, shadow {shadow}");
        vm.breaks.set(breaks::NEVER);
        kvm::destroy(&vm, vec![guest]);
    }
}

/// So does the one that splits huge pages. Those for which there is no memory stay, and others are split.
#[test]
fn huge_pages_far_apart_are_split() {
    let ends = [1000, PAGES - 600];
    for (memory, left) in [(u64::MAX, 0), (0, 2)] {
        let (vm, guest) = wide(Level::PG_2M, false);
        let slot = &vm.slots()[0];
        write(&guest, &ends);
        vm.begin_logs_dirty();
        slot.set_dirty_tracked(true);
        ends.iter().for_each(|index| slot.mark_dirty(frame(*index)));
        Machine::current().fail_allocations_after(memory);
        vm.breaks.set(breaks::ALWAYS);
        let before = vm.breaks.given();
        assert_eq!(kvm::harvest(&vm, slot), frames(&ends));
        let given = vm.breaks.given() - before;
        vm.breaks.set(breaks::NEVER);
        Machine::current().fail_allocations_after(u64::MAX);
        // Two walks.
        assert!(given >= 2 * (PAGES / PART), "{given} times");
        assert_eq!(vm.stats.pages[1].get(), left, "are huge");
        write(&guest, &ends);
        assert_eq!(kvm::harvest(&vm, slot), frames(&ends));
        kvm::destroy(&vm, vec![guest]);
    }
}

/// Most words are empty, so several are looked at together.
#[test]
fn words_that_are_alike_are_not_taken_for_empty_ones() {
    let (vm, guest) = wide(Level::PG_4K, false);
    let slot = &vm.slots()[0];
    kvm::start_dirty_log(&vm, slot, kvm::Split::Eagerly);
    let alike = [2 * 64 + 5, 3 * 64 + 5];
    for _ in 0..2 {
        write(&guest, &alike);
        assert_eq!(kvm::harvest(&vm, slot), frames(&alike));
    }
    kvm::destroy(&vm, vec![guest]);
}

/// TLBs are flushed for a huge page before the lock goes. If that is at the end, it is a flush for all pages. If others
/// come in, a CPU may still write to the pages behind. With shadow pages, the flush comes before the next word.
#[test]
fn the_flush_for_a_huge_page_is_one_for_those_before_it() {
    let small = PART + 1000;
    let ways = [
        (false, breaks::NEVER, 1),
        (false, breaks::ALWAYS, 2),
        (true, breaks::NEVER, 2),
    ];
    for huge in [1000, 3 * PART + 500] {
        for (shadow, pattern, flushed) in ways {
            let (vm, guest) = wide(Level::PG_2M, shadow);
            let slot = &vm.slots()[0];
            write(&guest, &[huge, small]);
            vm.begin_logs_dirty();
            vm.split_late();
            slot.set_dirty_tracked(true);
            slot.fill_log();
            kvm::take_log(&vm, slot, small as usize / 64, &mut [u64::MAX]);
            write(&guest, &[small]);
            let flushes = vm.stats.flushes.get();
            vm.breaks.set(pattern);
            let taken = kvm::harvest(&vm, slot);
            vm.breaks.set(breaks::NEVER);
            assert!(taken.is_superset(&frames(&[huge, small])));
            let flushes = vm.stats.flushes.get() - flushes;
            assert_eq!(flushes, flushed, "{huge}, shadow {shadow}");
            write(&guest, &[small]);
            assert_eq!(kvm::harvest(&vm, slot), frames(&[small]));
            kvm::destroy(&vm, vec![guest]);
        }
    }
}

proptest! {
    #![proptest_config(config(64, "tests/regressions/harvest_parts.txt"))]

    /// Each page comes once, and no more than so many words are looked through before the next answer, and no less if they
    /// are empty.
    #[test]
    fn all_pages_come_once(
        wanted in prop::collection::btree_set(0..PAGES, 0..20),
        words in prop::collection::btree_set(0..PAGES / 64, 0..20),
    ) {
        let (vm, guest) = wide(Level::PG_2M, false);
        let slot = &vm.slots()[0];
        slot.set_dirty_tracked(true);
        let whole = words.iter().flat_map(|word| word * 64..word * 64 + 64);
        let wanted: BTreeSet<_> = wanted.into_iter().chain(whole).map(frame).collect();
        wanted.iter().for_each(|gfn| slot.mark_dirty(*gfn));
        let mut log = vec![0; slot.log_words() as usize];
        let locked = SlotsLocked::new(&vm);
        let (mut walked, mut by_word) = (Vec::new(), Vec::new());
        let _ = WantedLog::new(&locked, slot, 0, &mut log, true).take().rearm(|part| {
            let GfnRange { start, end } = part.range();
            let mut gfn = start;
            while gfn < end {
                let (base, mask) = part.next(gfn);
                let skipped = mask.trailing_zeros();
                if mask != 0 {
                    walked.push(base.add(skipped.into()));
                }
                let next = base.add(64.min(u64::from(skipped) + 1));
                let passed = next.offset_from(gfn);
                assert!(next > gfn && passed <= PART + 64, "{gfn:?} to {next:?}");
                assert!(mask != 0 || passed >= PART || next >= end, "{gfn:?} to {next:?}");
                gfn = next;
            }
            let pages = |(base, word)| (0..64).filter(move |bit| word >> bit & 1 != 0).map(move |bit| Gfn::add(base, bit));
            by_word.extend(part.words().flat_map(pages));
            let known: Vec<_> = part.words().map(|(base, _)| base).collect();
            assert!(known.windows(2).all(|two| two[1].offset_from(two[0]) <= PART && two[0] < two[1]));
            None
        });
        let wanted: Vec<_> = wanted.into_iter().collect();
        prop_assert_eq!(&walked, &wanted);
        prop_assert_eq!(&by_word, &wanted);
        kvm::destroy(&vm, vec![guest]);
    }
}
