// SPDX-License-Identifier: GPL-2.0

//! The harvest of a dirty log: what userspace gets, and which writes are noticed after it.

mod common;

use common::{frame, memory, vcpu, vm_with, Options, PAGES};
use kvmrs_model::{
    kvm::{Gfn, GfnRange, Level, Spte, Vcpu, Vm},
    machine::{formats, npt, Machine, Masks},
    world::{breaks, cpu::Access, kvm, view::Tree},
};
use std::{
    collections::BTreeSet,
    sync::{
        atomic::{AtomicBool, Ordering::SeqCst},
        Arc,
    },
};

/// Frames in several words of the log, the first and the last one too, as the memory begins and ends
/// within a huge page.
const WRITTEN: [u64; 7] = [0, 1, 63, 64, 700, 1300, PAGES - 1];

/// Others, beside them.
const BESIDE: [u64; 6] = [1301, 2, 66, 701, PAGES - 3, 128];

fn frames(indexes: &[u64]) -> BTreeSet<Gfn> {
    indexes.iter().map(|index| frame(*index)).collect()
}

fn write(guest: &Vcpu, indexes: &[u64]) {
    for index in indexes {
        kvm::guest_access(guest, frame(*index), Access::Write, |_| ());
    }
}

/// Runs `test` in a VM of each kind whose log is on: all formats, by dirty bits or without them, with
/// shadow pages and without.
fn in_each_kind(split: kvm::Split, test: impl Fn(&str, &Arc<Vm>, &Vcpu)) {
    for (name, format) in formats() {
        for (cpu_dirty_log, shadow) in [(false, false), (false, true), (true, false), (true, true)]
        {
            if cpu_dirty_log && !format.ad_enabled {
                continue;
            }
            let vm = logged(format, cpu_dirty_log, split);
            if shadow {
                vm.use_shadow();
            }
            let name = format!("{name}, PML {cpu_dirty_log}, shadow pages {shadow}");
            let guest = vcpu(&vm);
            test(&name, &vm, &guest);
            kvm::destroy(&vm, vec![guest]);
        }
    }
}

fn logged(format: Masks, cpu_dirty_log: bool, split: kvm::Split) -> Arc<Vm> {
    let options = Options {
        cpu_dirty_log,
        ..Options::default()
    };
    let vm = vm_with(format, memory(), Level::PG_2M, options);
    let guest = vcpu(&vm);
    write(&guest, &[0, 300, 1300]);
    kvm::unload_root(&guest);
    kvm::start_dirty_log(&vm, &vm.slots()[0], split);
    vm
}

/// What was written is handed over once, and again once it is written again.
#[test]
fn each_write_is_handed_over_once() {
    in_each_kind(kvm::Split::Eagerly, |name, vm, guest| {
        let slot = &vm.slots()[0];
        kvm::harvest(vm, slot);
        for _ in 0..3 {
            write(guest, &WRITTEN);
            assert_eq!(kvm::harvest(vm, slot), frames(&WRITTEN), "{name}");
            assert!(kvm::harvest(vm, slot).is_empty(), "{name}: nobody wrote");
        }
    });
}

/// Only pages that userspace names become clean, and only those of them that are dirty are handed over.
#[test]
fn what_is_not_named_stays_in_the_log() {
    in_each_kind(kvm::Split::Eagerly, |name, vm, guest| {
        let slot = &vm.slots()[0];
        kvm::harvest(vm, slot);
        write(guest, &WRITTEN);
        // Pages 0 and 2, and all from 64 on to 127.
        let mut words = [0b101, u64::MAX];
        let others = || [1, 63, 700, 1300].map(|index| leaf_at(vm, guest, index));
        let before = others();
        kvm::take_log(vm, slot, 0, &mut words);
        assert_eq!(words, [1, 1], "{name}");
        assert_eq!(others(), before, "{name}: the next writes cost nothing");
        write(guest, &[1, 64]);
        assert_eq!(kvm::harvest(vm, slot), frames(&WRITTEN[1..]), "{name}");
    });
}

/// Others write whenever the harvest gives way, before and behind the place where it is. It has taken its
/// pages by then, so these writes are for the next one.
#[test]
fn writes_during_a_harvest_are_in_the_next() {
    in_each_kind(kvm::Split::Eagerly, |name, vm, guest| {
        let slot = &vm.slots()[0];
        kvm::harvest(vm, slot);
        write(guest, &WRITTEN);
        let other = Arc::new(vcpu(vm));
        let (writer, mut next) = (other.clone(), BESIDE.into_iter());
        vm.breaks.set_hook(move || {
            if let Some(index) = next.next() {
                write(&writer, &[index]);
            }
        });
        vm.breaks.set(breaks::ALWAYS);
        let before = vm.breaks.given();
        assert_eq!(kvm::harvest(vm, slot), frames(&WRITTEN), "{name}");
        let given = (vm.breaks.given() - before).min(BESIDE.len() as u64) as usize;
        vm.breaks.set(breaks::NEVER);
        assert!(given > 1, "{name}: it gave way {given} times");
        let later = kvm::harvest(vm, slot);
        assert_eq!(later, frames(&BESIDE[..given]), "{name}");
        vm.breaks.set_hook(|| ());
        kvm::unload_root(&other);
    });
}

/// What maps `index` in the guest's tree.
fn leaf_at(vm: &Vm, guest: &Vcpu, index: u64) -> (Gfn, Level, Spte) {
    let tree = Tree::of(vm, &guest.root().expect("a root"));
    tree.leaf(frame(index)).expect("it is mapped")
}

fn level_at(vm: &Vm, guest: &Vcpu, index: u64) -> Level {
    leaf_at(vm, guest, index).1
}

/// A log that begins with every page dirty: huge pages stay until userspace makes a part of them clean.
fn begun_dirty(vm: &Vm, guest: &Vcpu) {
    vm.begin_logs_dirty();
    all_dirty(vm, guest);
}

/// A log in which every page is dirty, over huge pages that can be written.
fn all_dirty(vm: &Vm, guest: &Vcpu) {
    let slot = &vm.slots()[0];
    slot.set_dirty_tracked(true);
    slot.fill_log();
    for index in [300, 900, 1300] {
        kvm::guest_access(guest, frame(index), Access::Read, |_| ());
    }
}

fn not_logged(format: Masks, shadow: bool) -> (Arc<Vm>, Vcpu) {
    let vm = vm_with(format, memory(), Level::PG_2M, Options::default());
    let guest = vcpu(&vm);
    write(&guest, &[300, 900, 1300]);
    if shadow {
        vm.use_shadow();
    }
    (vm, guest)
}

/// The pages that are made clean lie in one huge page: it is split, and no other.
#[test]
fn huge_pages_are_split_where_pages_become_clean() {
    for shadow in [false, true] {
        let (vm, guest) = not_logged(npt(), shadow);
        begun_dirty(&vm, &guest);
        let mut words = vec![0; vm.slots()[0].log_words() as usize];
        words[900 / 64] = u64::MAX;
        kvm::take_log(&vm, &vm.slots()[0], 0, &mut words);
        assert_eq!(level_at(&vm, &guest, 300), Level::PG_2M, "shadow {shadow}");
        assert_eq!(level_at(&vm, &guest, 900), Level::PG_4K, "shadow {shadow}");
        assert_eq!(level_at(&vm, &guest, 1300), Level::PG_2M, "shadow {shadow}");
        write(&guest, &[900]);
        assert!(kvm::harvest(&vm, &vm.slots()[0]).contains(&frame(900)));
        kvm::destroy(&vm, vec![guest]);
    }
}

/// If they are not split, the next write to any of their pages faults, and that one is split then.
#[test]
fn huge_pages_that_stay_are_write_protected() {
    for shadow in [false, true] {
        let (vm, guest) = not_logged(npt(), shadow);
        begun_dirty(&vm, &guest);
        vm.split_late();
        let slot = &vm.slots()[0];
        kvm::take_log(&vm, slot, 900 / 64, &mut [u64::MAX]);
        assert_eq!(level_at(&vm, &guest, 900), Level::PG_2M, "shadow {shadow}");
        write(&guest, &[901]);
        assert_eq!(level_at(&vm, &guest, 901), Level::PG_4K, "shadow {shadow}");
        assert!(
            kvm::harvest(&vm, slot).contains(&frame(901)),
            "shadow {shadow}"
        );
        kvm::destroy(&vm, vec![guest]);
    }
}

/// A huge page that spans pages of two words, of which one is made clean, and one that lies across the part
/// that userspace names.
#[test]
fn a_part_that_begins_within_a_huge_page() {
    let (vm, guest) = not_logged(npt(), false);
    begun_dirty(&vm, &guest);
    // The first huge page begins at page 256. The word before it has none of its pages.
    kvm::take_log(&vm, &vm.slots()[0], 3, &mut [u64::MAX]);
    assert_eq!(level_at(&vm, &guest, 300), Level::PG_2M);
    kvm::take_log(&vm, &vm.slots()[0], 3, &mut [0, 1]);
    assert_eq!(level_at(&vm, &guest, 300), Level::PG_4K);
    assert_eq!(level_at(&vm, &guest, 900), Level::PG_2M);
    kvm::destroy(&vm, vec![guest]);
}

/// A slot whose log is not at its begin in a whole word of frames, and in another address space.
#[test]
fn logs_of_slots_that_begin_anywhere() {
    for first in [1, 31, 64, 511] {
        let range = GfnRange::sized(Gfn::new(first), 200);
        let vm = vm_with(npt(), range, Level::PG_4K, Options::default());
        let guest = vcpu(&vm);
        let slot = &vm.slots()[0];
        kvm::start_dirty_log(&vm, slot, kvm::Split::Eagerly);
        for page in [0, 63, 64, 130, 199] {
            let gfn = range.start.add(page);
            kvm::guest_access(&guest, gfn, Access::Write, |_| ());
            assert_eq!(kvm::harvest(&vm, slot), [gfn].into(), "from {first} on");
            kvm::guest_access(&guest, gfn, Access::Write, |_| ());
            assert_eq!(kvm::harvest(&vm, slot), [gfn].into(), "from {first} on");
        }
        kvm::destroy(&vm, vec![guest]);
    }
}

/// In a VM with shadow pages, a huge page is protected with a word, and others come then. A shadow fault, which wants to
/// hear of writes to one of its pages, finds it protected and takes it for flushed.
#[test]
fn what_a_word_has_protected_is_flushed_before_others_come() {
    let (vm, guest) = not_logged(npt(), true);
    begun_dirty(&vm, &guest);
    vm.split_late();
    let guest = Arc::new(guest);
    let (writer, came) = (guest.clone(), Arc::new(AtomicBool::new(false)));
    let comes = came.clone();
    vm.breaks.set_hook(move || {
        kvm::write_track(writer.vm(), frame(300));
        let wrote = writer
            .cpu
            .access(&writer, frame(300), Access::Write, |_| ());
        assert!(wrote.is_err(), "a CPU writes unnoticed");
        comes.store(true, SeqCst);
    });
    vm.breaks.set(breaks::ALWAYS);
    kvm::take_log(&vm, &vm.slots()[0], 300 / 64, &mut [u64::MAX]);
    vm.breaks.set(breaks::NEVER);
    vm.breaks.set_hook(|| ());
    assert!(came.load(SeqCst), "it does not give way");
    kvm::unload_root(&guest);
    kvm::destroy(&vm, Vec::new());
}

/// C splits huge pages of a word, and drops the lock to allocate. It has protected one of an earlier word by then.
#[test]
fn what_a_word_has_protected_is_flushed_before_the_next_is_split() {
    let (vm, guest) = not_logged(npt(), true);
    begun_dirty(&vm, &guest);
    Machine::current().fail_allocations_after(0);
    kvm::harvest(&vm, &vm.slots()[0]);
    assert_eq!(level_at(&vm, &guest, 900), Level::PG_2M);
    Machine::current().fail_allocations_after(u64::MAX);
    kvm::destroy(&vm, vec![guest]);
}

/// Userspace may have logs begin with every page dirty at any time: then C protects huge pages from the next word on.
#[test]
fn logs_may_begin_dirty_while_one_is_taken() {
    let (vm, guest) = not_logged(npt(), true);
    all_dirty(&vm, &guest);
    vm.split_late();
    let other = vm.clone();
    vm.breaks.set_hook(move || other.begin_logs_dirty());
    vm.breaks.set(breaks::ALWAYS);
    kvm::harvest(&vm, &vm.slots()[0]);
    vm.breaks.set(breaks::NEVER);
    vm.breaks.set_hook(|| ());
    write(&guest, &[901]);
    assert!(kvm::harvest(&vm, &vm.slots()[0]).contains(&frame(901)));
    kvm::destroy(&vm, vec![guest]);
}

/// What C protects for a log is flushed at the end. Others who come before need a flush for huge pages alone.
#[test]
fn small_pages_are_flushed_once() {
    let (vm, guest) = not_logged(npt(), true);
    begun_dirty(&vm, &guest);
    let slot = &vm.slots()[0];
    kvm::harvest(&vm, slot);
    write(&guest, &WRITTEN);
    vm.breaks.set(breaks::ALWAYS);
    let before = (vm.stats.flushes.get(), vm.breaks.given());
    assert_eq!(kvm::harvest(&vm, slot), frames(&WRITTEN));
    vm.breaks.set(breaks::NEVER);
    assert!(vm.breaks.given() > before.1 + 1, "it does not give way");
    assert_eq!(vm.stats.flushes.get(), before.0 + 1);
    kvm::destroy(&vm, vec![guest]);
}
