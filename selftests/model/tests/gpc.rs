// SPDX-License-Identifier: GPL-2.0

//! Pfn caches, one step after the other.

mod common;

use common::{frame, memory, vm_with, Options};
use kvmrs_model::{
    kvm::{
        gpc::{Address, Gpc, PackedWord, Refused},
        GfnRange, Level, MemSlot, Vm,
    },
    machine::npt,
    pfncache::refresh::{deactivate, place},
    world::gpc::{activate, change, move_page, refresh, try_access},
};
use std::{
    sync::{
        atomic::{AtomicBool, Ordering::SeqCst},
        Arc,
    },
    thread,
    time::Duration,
};

const LEN: usize = 8;

/// A VM in small pages, with a cache that is not in use.
fn cache() -> (Arc<Vm>, Arc<Gpc>) {
    let vm = vm_with(npt(), memory(), Level::PG_4K, Options::default());
    let cache = Gpc::new(&vm);
    (vm, cache)
}

/// The guest's address of a byte of its memory.
fn at(page: u64, offset: u64) -> Address {
    Address::Guest(frame(page).addr() + offset)
}

/// A cache that is valid.
fn valid() -> (Arc<Vm>, Arc<Gpc>) {
    let (vm, cache) = cache();
    activate(&cache, at(0, 0), LEN).expect("there is a page");
    (vm, cache)
}

fn is_valid(cache: &Gpc) -> bool {
    try_access(cache, LEN, |page| page.read_u32(0)).is_some()
}

fn end(vm: &Vm, cache: &Gpc) {
    deactivate(cache);
    vm.check_caches();
    assert!(!vm.is_bugged());
}

#[test]
fn a_cache_is_valid_once_it_is_in_use() {
    let (vm, cache) = cache();
    assert!(!is_valid(&cache));
    activate(&cache, at(0, 16), LEN).expect("there is a page");
    try_access(&cache, LEN, |page| page.write_u32(4, 7)).expect("it is valid");
    let pfn = vm.primary.page(frame(0)).expect("there is a page").pfn;
    assert_eq!(vm.caches.memory.word(pfn, 20), 7);
    deactivate(&cache);
    assert!(!is_valid(&cache));
    end(&vm, &cache);
}

#[test]
fn what_is_not_in_use_is_not_refreshed() {
    let (vm, cache) = cache();
    assert_eq!(refresh(&cache, LEN), Err(Refused::Inactive));
    activate(&cache, at(0, 0), LEN).expect("there is a page");
    deactivate(&cache);
    assert_eq!(refresh(&cache, LEN), Err(Refused::Inactive));
    end(&vm, &cache);
}

/// What is on the VM's list, with locks that others may hold, is moved, be it valid or not.
#[test]
fn what_is_in_use_is_not_set_up_again() {
    let (vm, cache) = valid();
    for page in 0..2 {
        activate(&cache, at(page, 0), LEN).expect("there is a page");
        change(&vm, frame(page), || ());
        activate(&cache, at(page + 1, 0), LEN).expect("there is another page");
    }
    end(&vm, &cache);
}

#[test]
fn what_is_cached_lies_within_a_page() {
    let (vm, cache) = cache();
    assert_eq!(activate(&cache, at(0, 4090), LEN), Err(Refused::Length));
    activate(&cache, at(0, 4088), LEN).expect("it fits");
    assert_eq!(refresh(&cache, LEN + 1), Err(Refused::Length));
    assert_eq!(refresh(&cache, usize::MAX), Err(Refused::Length));
    assert!(try_access(&cache, LEN + 1, |_| ()).is_none());
    try_access(&cache, LEN, |page| {
        assert!(page.write_u32(4, 1).is_some());
        assert!(page.write_u32(5, 1).is_none());
        assert!(page.read_u32(usize::MAX).is_none());
        assert!(page.write_words(0, &[PackedWord(0); 3]).is_none());
    })
    .expect("it is valid");
    end(&vm, &cache);
}

#[test]
fn a_page_that_the_host_takes_is_not_pinned_again() {
    let (vm, cache) = valid();
    move_page(&vm, frame(0));
    assert!(!is_valid(&cache));
    refresh(&cache, LEN).expect("there is another page");
    assert!(is_valid(&cache));
    assert_eq!(vm.caches.maps.get(), 2);
    move_page(&vm, frame(1));
    assert!(is_valid(&cache), "it has another page");
    refresh(&cache, LEN).expect("it is valid");
    assert_eq!(vm.caches.look_ups.get(), 2, "there is nothing to do");
    end(&vm, &cache);
}

#[test]
fn a_page_that_comes_back_is_not_mapped_again() {
    let (vm, cache) = valid();
    change(&vm, frame(0), || ());
    assert!(!is_valid(&cache));
    refresh(&cache, LEN).expect("it is the same page");
    assert!(is_valid(&cache));
    assert_eq!(vm.caches.maps.get(), 1);
    end(&vm, &cache);
}

#[test]
fn a_move_within_the_page_looks_nothing_up() {
    let (vm, cache) = valid();
    activate(&cache, at(0, 64), LEN).expect("it is the same page");
    assert_eq!(vm.caches.look_ups.get(), 1);
    assert_eq!(place(&cache), Some(at(0, 64)), "it has moved");
    try_access(&cache, LEN, |page| page.write_u32(0, 7)).expect("it is valid");
    let pfn = vm.primary.page(frame(0)).expect("there is a page").pfn;
    assert_eq!(vm.caches.memory.word(pfn, 64), 7, "it has moved");
    end(&vm, &cache);
}

#[test]
fn a_move_to_another_page_leaves_the_first_alone() {
    let (vm, cache) = valid();
    activate(&cache, at(3, 0), LEN).expect("there is a page");
    assert_eq!((vm.caches.maps.get(), vm.caches.mapped.get()), (2, 1));
    move_page(&vm, frame(0));
    assert!(is_valid(&cache));
    move_page(&vm, frame(3));
    assert!(!is_valid(&cache));
    end(&vm, &cache);
}

#[test]
fn slots_that_have_changed_are_looked_at_again() {
    let (vm, cache) = valid();
    vm.set_generation(vm.generation() + 2);
    assert!(!is_valid(&cache));
    refresh(&cache, LEN).expect("the page is the same");
    assert!(is_valid(&cache));
    assert_eq!(vm.caches.look_ups.get(), 1);
    end(&vm, &cache);
}

/// The slot that was found goes as soon as nobody is left who holds the old slots.
#[test]
fn a_slot_is_not_taken_for_one_of_newer_slots() {
    let (vm, cache) = cache();
    vm.slots_found.set({
        let vm = vm.clone();
        move || vm.set_generation(vm.generation() + 2)
    });
    activate(&cache, at(0, 0), LEN).expect("there is a page");
    assert!(!is_valid(&cache), "its slot may be gone");
    vm.slots_found.set(|| ());
    refresh(&cache, LEN).expect("the slots stay now");
    assert!(is_valid(&cache));
    end(&vm, &cache);
}

#[test]
fn an_address_of_the_host_needs_no_slot() {
    let (vm, cache) = cache();
    let address = MemSlot::host_range_of(GfnRange::one(frame(2))).start;
    activate(&cache, Address::Host(address + 8), LEN).expect("there is a page");
    vm.set_generation(vm.generation() + 2);
    assert!(is_valid(&cache));
    move_page(&vm, frame(2));
    assert!(!is_valid(&cache));
    refresh(&cache, LEN).expect("there is another page");
    end(&vm, &cache);
}

#[test]
fn without_a_page_nothing_stays_mapped() {
    let (vm, cache) = valid();
    let nowhere = Address::Guest(memory().end.add(9).addr());
    assert_eq!(activate(&cache, nowhere, LEN), Err(Refused::NoPage));
    assert_eq!(vm.caches.mapped.get(), 0);
    assert!(!is_valid(&cache));
    activate(&cache, at(0, 0), LEN).expect("there is a page");
    change(&vm, frame(0), || vm.primary.set_writable(frame(0), false));
    assert_eq!(refresh(&cache, LEN), Err(Refused::NoPage));
    assert_eq!(vm.caches.mapped.get(), 0);
    end(&vm, &cache);
}

/// The page goes after it was looked up: the reference is given back, and another page is looked up.
#[test]
fn a_page_that_goes_during_the_look_up_is_not_kept() {
    let (vm, cache) = cache();
    let mut times = 0;
    vm.caches.found.set({
        let vm = vm.clone();
        move || {
            times += 1;
            if times <= 2 {
                move_page(&vm, frame(0));
            }
        }
    });
    activate(&cache, at(0, 0), LEN).expect("there is a page");
    assert_eq!(vm.caches.look_ups.get(), 3);
    assert_eq!(vm.caches.references.get(), 0);
    assert!(is_valid(&cache));
    end(&vm, &cache);
}

/// A change of another page meanwhile costs nothing.
#[test]
fn a_change_elsewhere_is_no_reason_to_look_again() {
    let (vm, cache) = cache();
    vm.caches.found.set({
        let vm = vm.clone();
        move || (1..100).for_each(|page| move_page(&vm, frame(page)))
    });
    activate(&cache, at(0, 0), LEN).expect("there is a page");
    assert_eq!(vm.caches.look_ups.get(), 1);
    end(&vm, &cache);
}

#[test]
fn a_refresh_waits_for_a_change_of_its_page_alone() {
    let (vm, cache) = valid();
    change(&vm, frame(1), || {
        activate(&cache, at(2, 0), LEN).expect("nobody changes it");
    });
    assert_eq!(vm.caches.waits.get(), 0);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        change(&vm, frame(0), || {
            scope.spawn(|| {
                activate(&cache, at(0, 0), LEN).expect("the change ends");
                done.store(true, SeqCst);
            });
            while vm.caches.waits.get() == 0 {
                thread::yield_now();
            }
            assert!(!done.load(SeqCst));
            assert_eq!(vm.caches.look_ups.get(), 2, "looked up while it changes");
        });
    });
    assert!(is_valid(&cache));
    end(&vm, &cache);
}

#[test]
fn who_waits_can_be_killed() {
    let (vm, cache) = valid();
    vm.caches.kill_tasks(true);
    change(&vm, frame(0), || {
        assert_eq!(refresh(&cache, LEN), Err(Refused::Killed));
        assert_eq!(vm.caches.look_ups.get(), 1, "it only waits");
    });
    assert_eq!(vm.caches.mapped.get(), 0);
    refresh(&cache, LEN).expect("nothing to wait for");
    end(&vm, &cache);
}

/// Nobody takes a page away while it is pinned: not the host, not a move of the cache, not its end.
#[test]
fn a_page_stays_while_it_is_pinned() {
    let host: fn(&Gpc) = |cache| move_page(cache.vm(), frame(0));
    let moves: fn(&Gpc) = |cache| activate(cache, at(1, 0), LEN).expect("there is a page");
    let ends: fn(&Gpc) = deactivate;
    for task in [host, moves, ends] {
        let (vm, cache) = valid();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            try_access(&cache, LEN, |page| {
                scope.spawn(|| {
                    task(&cache);
                    done.store(true, SeqCst);
                });
                thread::sleep(Duration::from_millis(50));
                page.write_u32(0, 1).expect("it fits");
                assert!(!done.load(SeqCst), "taken from who has it pinned");
            })
            .expect("it is valid");
        });
        assert!(done.load(SeqCst));
        end(&vm, &cache);
    }
}

/// A refresh has taken away that the cache is valid, and waits for a reader. The host must wait too.
#[test]
fn the_host_waits_for_readers_of_a_page_that_the_cache_leaves() {
    let (vm, cache) = valid();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        try_access(&cache, LEN, |page| {
            scope.spawn(|| activate(&cache, at(1, 0), LEN));
            while is_valid(&cache) {
                thread::yield_now();
            }
            scope.spawn(|| {
                move_page(&vm, frame(0));
                done.store(true, SeqCst);
            });
            thread::sleep(Duration::from_millis(50));
            page.write_u32(0, 1).expect("it fits");
            assert!(!done.load(SeqCst), "taken from who has it pinned");
        })
        .expect("it is valid");
    });
    end(&vm, &cache);
}

#[test]
fn two_caches_are_pinned_at_once() {
    let (vm, first) = valid();
    let second = Gpc::new(&vm);
    activate(&second, at(0, 64), LEN).expect("there is a page");
    for (outer, inner) in [(&first, &second), (&second, &first)] {
        try_access(outer, LEN, |one| {
            try_access(inner, LEN, |other| {
                one.write_u32(0, 1)
                    .and(other.write_u32(0, 2))
                    .expect("they fit");
            })
            .expect("it is valid");
        })
        .expect("it is valid");
    }
    move_page(&vm, frame(0));
    assert!(!is_valid(&first) && !is_valid(&second));
    deactivate(&second);
    end(&vm, &first);
}

#[test]
fn a_page_is_marked_dirty_in_its_slot() {
    let (vm, cache) = valid();
    let slot = &vm.slots()[0];
    slot.set_dirty_tracked(true);
    try_access(&cache, LEN, |page| page.mark_dirty()).expect("it is valid");
    assert_eq!(slot.take_log().into_iter().collect::<Vec<_>>(), [frame(0)]);
    end(&vm, &cache);
}

#[test]
fn a_task_of_another_address_space_is_refused() {
    let (vm, cache) = valid();
    vm.caches.use_foreign_tasks(true);
    assert_eq!(refresh(&cache, LEN), Err(Refused::Foreign));
    end(&vm, &cache);
}

#[test]
fn an_address_space_that_goes_is_left_alone() {
    let (vm, cache) = valid();
    vm.put_mm();
    assert!(!is_valid(&cache));
    assert_eq!(refresh(&cache, LEN), Err(Refused::Foreign));
    end(&vm, &cache);
}
