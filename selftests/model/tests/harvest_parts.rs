// SPDX-License-Identifier: GPL-2.0

//! Harvests of logs with dirty pages far apart.

mod common;

use common::{config, vcpu, vm_with, Options};
use kvmrs_model::{
    kvm::{log::WantedLog, Gfn, GfnRange, Level, SlotsLocked, Vcpu, Vm},
    machine::npt,
    world::{breaks, cpu::Access, kvm},
};
use proptest::prelude::*;
use std::{collections::BTreeSet, sync::Arc};

/// What is looked through under the lock at most.
const PART: u64 = 512 * 64;
/// Not the begin of a huge page.
const FIRST: u64 = 100;
const PAGES: u64 = 3 * PART + 1000;
/// In each part of the log: at both ends, and in two of its tables.
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

/// One part has a huge page, for which TLBs are flushed before the lock goes. If others come after it, a CPU may still
/// write to their pages. With shadow pages, the flush comes before the next word.
#[test]
fn the_flush_of_a_part_is_one_for_those_before_it() {
    let small = PART + 1000;
    for (huge, flushed) in [(1000, [2, 2]), (3 * PART + 500, [1, 2])] {
        for (shadow, flushed) in [false, true].into_iter().zip(flushed) {
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
            let taken = kvm::harvest(&vm, slot);
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

    /// Each page is in one part, and none is longer than the lock may be held for.
    #[test]
    fn parts_have_all_pages(
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
            assert!(end.offset_from(start) <= PART && !part.range().is_empty());
            let (mut base, mut mask) = part.next(start);
            while mask != 0 {
                let gfn = base.add(mask.trailing_zeros().into());
                walked.push(gfn);
                (base, mask) = part.next(gfn.add(1));
            }
            assert!(base >= end, "that is not behind all of them");
            let pages = |(base, word)| (0..64).filter(move |bit| word >> bit & 1 != 0).map(move |bit| Gfn::add(base, bit));
            by_word.extend(part.words().flat_map(pages));
            None
        });
        let wanted: Vec<_> = wanted.into_iter().collect();
        prop_assert_eq!(&walked, &wanted);
        prop_assert_eq!(&by_word, &wanted);
        kvm::destroy(&vm, vec![guest]);
    }
}
