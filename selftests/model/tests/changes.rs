// SPDX-License-Identifier: GPL-2.0

//! What the host changes, and what pfn caches hear of it.

mod common;

use common::{frame, memory, vm_with, Options};
use kvmrs_model::{
    kvm::{
        gpc::{Address, Gpc, Refused},
        GfnRange, Level, MemSlot, Start, Vm,
    },
    machine::npt,
    mm::{
        notifier::{Ended, Released},
        HostRange,
    },
    pfncache::refresh::deactivate,
    tdp_mmu::notifier,
    world::gpc::{activate, try_access},
};
use std::sync::Arc;

const LEN: usize = 8;

/// A VM in small pages, with a cache that is not in use.
fn world() -> (Arc<Vm>, Arc<Gpc>) {
    let vm = vm_with(npt(), memory(), Level::PG_4K, Options::default());
    let cache = Gpc::new(&vm);
    (vm, cache)
}

fn at(page: u64) -> Address {
    Address::Guest(frame(page).addr())
}

fn is_valid(cache: &Gpc) -> bool {
    try_access(cache, LEN, |_| ()).is_some()
}

fn end(vm: &Vm, cache: &Gpc) {
    deactivate(cache);
    vm.check_caches();
    assert!(!vm.is_bugged());
}

/// More changes at a time than there are places: one that has none counts as one of everything.
#[test]
fn changes_without_a_place_concern_everybody() {
    let (vm, cache) = world();
    let page = |page: u64| MemSlot::host_range_of(GfnRange::one(frame(page)));
    vm.caches.kill_tasks(true);
    (1..=32).for_each(|number| vm.begin_change(page(number)).invalidate_caches());
    activate(&cache, at(0), LEN).expect("nobody changes it");
    vm.begin_change(page(33)).invalidate_caches();
    assert!(is_valid(&cache), "no cache is there");
    assert_eq!(activate(&cache, at(40), LEN), Err(Refused::Killed));
    for number in (1..=33).rev() {
        vm.end_change(Ended::of(&page(number)), Start::Recorded);
    }
    assert!(!vm.is_bugged() && !vm.slots_update_is_blocked());
    activate(&cache, at(40), LEN).expect("nothing is going on");
    vm.end_change(Ended::of(&page(1)), Start::Recorded);
    assert!(vm.take_bug(), "one too many");
    end(&vm, &cache);
}

/// Nobody hears of changes any more.
#[test]
fn an_address_space_that_goes_takes_its_pages_along() {
    let (vm, cache) = world();
    activate(&cache, at(0), LEN).expect("there is a page");
    notifier::release(&vm, Released::now());
    assert!(!is_valid(&cache));
    end(&vm, &cache);
}

#[test]
fn ranges_that_touch_do_not_overlap() {
    let range = |start, end| HostRange::new(start, end);
    assert!(range(0, 2).overlaps(range(1, 3)) && range(1, 3).overlaps(range(0, 2)));
    assert!(!range(0, 2).overlaps(range(2, 3)) && !range(2, 3).overlaps(range(0, 2)));
    assert!(range(0, 9).overlaps(range(4, 5)) && !range(0, 0).overlaps(range(0, 9)));
}
