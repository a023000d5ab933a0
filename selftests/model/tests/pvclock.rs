// SPDX-License-Identifier: GPL-2.0

//! The guest's clock, as the guest sees it.

mod common;

use common::{frame, memory, vm_with, Options};
use kvmrs_model::{
    kvm::{
        gpc::{Address, Gpc, PackedWord, PAGE_SIZE},
        types::Pfn,
        Level, SlotsHeld, Vm,
    },
    machine::npt,
    pfncache::{
        pvclock::{read, write, Clock, WORDS},
        refresh::deactivate,
    },
    world::gpc::{activate, move_page},
};
use std::sync::Arc;

/// Where in the page the clock is.
const AT: usize = 16;
const STOPPED: u32 = 2 << 8;

fn clocked() -> (Arc<Vm>, Arc<Gpc>) {
    clocked_by(8)
}

/// What is cached begins there in the page.
fn clocked_by(offset: usize) -> (Arc<Vm>, Arc<Gpc>) {
    let vm = vm_with(npt(), memory(), Level::PG_4K, Options::default());
    let cache = Gpc::new(&vm);
    let address = Address::Guest(frame(0).addr() + offset as u64);
    activate(&cache, address, AT - 8 + 4 * WORDS).expect("there is a page");
    (vm, cache)
}

fn pfn(vm: &Vm) -> Pfn {
    vm.primary.page(frame(0)).expect("there is a page").pfn
}

fn update(vm: &Vm, cache: &Gpc) -> Option<Clock> {
    update_flags(vm, cache, 7)
}

fn update_flags(vm: &Vm, cache: &Gpc, flags: u32) -> Option<Clock> {
    let mut clock = [9, 1, 2, 3, 4, 5, 6, flags].map(PackedWord);
    write(cache, &mut SlotsHeld::new(vm), AT - 8, &mut clock).then_some(clock)
}

/// What the guest finds there.
fn seen(vm: &Vm) -> Clock {
    std::array::from_fn(|word| PackedWord(vm.caches.memory.word(pfn(vm), AT + 4 * word)))
}

#[test]
fn the_version_is_odd_while_the_clock_is_written() {
    let (vm, cache) = clocked();
    for version in [2, 4, 6] {
        let clock = update(&vm, &cache).expect("it is valid");
        assert_eq!(clock, [version, 1, 2, 3, 4, 5, 6, 7].map(PackedWord));
        assert_eq!(seen(&vm), clock);
        let written = vm.caches.memory.take_written();
        let version_in = |bytes: &[u8]| u32::from_le_bytes(bytes[..4].try_into().expect("a word"));
        let versions: Vec<_> = written
            .iter()
            .map(|(at, bytes)| (*at, version_in(bytes)))
            .collect();
        let odd = version - 1;
        assert_eq!(versions, [(AT, odd), (AT, odd), (AT, version)]);
        assert_eq!(written[1].1.len(), 4 * WORDS);
    }
    deactivate(&cache);
}

#[test]
fn a_version_that_the_guest_left_odd_becomes_even() {
    let (vm, cache) = clocked();
    for (before, after) in [(7, 10), (u32::MAX, 2), (u32::MAX - 1, 0)] {
        vm.caches.memory.set_word(pfn(&vm), AT, before);
        assert_eq!(
            update(&vm, &cache).expect("it is valid")[0],
            PackedWord(after)
        );
    }
    deactivate(&cache);
}

#[test]
fn the_guest_alone_forgets_that_it_was_stopped() {
    let (vm, cache) = clocked();
    vm.caches.memory.set_word(pfn(&vm), AT + 28, STOPPED | 1);
    assert_eq!(
        update(&vm, &cache).expect("it is valid")[7],
        PackedWord(STOPPED | 7)
    );
    let again = update_flags(&vm, &cache, STOPPED | 7).expect("it is valid");
    assert_eq!(again[7], PackedWord(STOPPED | 7), "it was stopped twice");
    vm.caches.memory.set_word(pfn(&vm), AT + 28, 7);
    assert_eq!(update(&vm, &cache).expect("it is valid")[7], PackedWord(7));
    deactivate(&cache);
}

#[test]
fn the_clock_is_written_to_where_the_page_is_now() {
    let (vm, cache) = clocked();
    move_page(&vm, frame(0));
    let clock = update(&vm, &cache).expect("there is a page");
    assert_eq!(seen(&vm), clock);
    deactivate(&cache);
    assert_eq!(update(&vm, &cache), None, "it is not in use");
}

#[test]
fn a_clock_may_be_the_last_of_its_page() {
    let (vm, cache) = clocked_by(PAGE_SIZE - (AT - 8) - 4 * WORDS);
    for _ in 0..2 {
        let clock = update(&vm, &cache).expect("it fits");
        let found = read(&cache, &mut SlotsHeld::new(&vm), AT - 8);
        assert_eq!(found, Some(clock));
        move_page(&vm, frame(0));
    }
    deactivate(&cache);
}

#[test]
fn the_clock_marks_its_page_dirty() {
    let (vm, cache) = clocked();
    vm.slots()[0].set_dirty_tracked(true);
    update(&vm, &cache).expect("it is valid");
    assert!(vm.slots()[0].take_log().contains(&frame(0)));
    deactivate(&cache);
}
