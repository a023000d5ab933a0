// SPDX-License-Identifier: GPL-2.0

//! A vCPU's run state, between the scheduler, userspace and the host's memory.

mod common;

use common::{frame, memory, vm_with, Options};
use kvmrs_model::{
    atomic::Ordering::SeqCst,
    kvm::{
        gpc::{Address, Refused, PAGE_SIZE},
        xen::{Layout, RunState, Runner},
        Level, SlotsHeld, Vm,
    },
    machine::npt,
    pfncache::refresh::deactivate,
    sync::preempt,
    world::gpc::{activate, move_page},
    xen::{
        claim::Claim,
        runstate::{adjust, enter, make_up, place, preempt as preempted, set},
    },
};
use std::sync::Arc;

struct World {
    vm: Arc<Vm>,
    runner: Runner,
}

impl World {
    fn new() -> Self {
        let vm = vm_with(npt(), memory(), Level::PG_4K, Options::default());
        let runner = Runner::new(&vm);
        Self { vm, runner }
    }

    /// The area begins `left` bytes before the first page's end.
    fn put(&self, left: usize) {
        let address = Address::Guest(frame(0).addr() + (PAGE_SIZE - left) as u64);
        activate(self.runner.area().0, address, left).expect("there is a page");
    }

    fn tick(&self) {
        self.runner.clock.fetch_add(10, SeqCst);
    }

    fn enter(&self, state: RunState) {
        self.tick();
        enter(&self.runner, &mut SlotsHeld::new(&self.vm), state);
    }

    /// As the scheduler does it.
    fn preempt(&self) {
        self.tick();
        let _scheduler = preempt::disable();
        preempted(&self.runner, &SlotsHeld::new(&self.vm));
    }

    /// The state that the guest finds `left` bytes before the first page's end.
    fn seen(&self, left: usize) -> u8 {
        let page = self.vm.primary.page(frame(0)).expect("there is a page");
        let pfn = page.pfn_of(frame(0));
        self.vm.caches.memory.byte(pfn, PAGE_SIZE - left)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let (first, second) = self.runner.area();
        deactivate(first);
        deactivate(second);
        self.vm.check_caches();
    }
}

#[test]
fn the_guest_sees_each_state() {
    let world = World::new();
    world.put(100);
    world.enter(RunState::Blocked);
    assert_eq!(world.seen(100), 2);
    world.preempt();
    assert_eq!(world.seen(100), 1);
    world.enter(RunState::Running);
    assert_eq!(world.seen(100), 0);
    let spent = world.runner.times().spent;
    assert_eq!(spent, [0, 10, 10, 10]);
}

#[test]
fn what_the_scheduler_cannot_write_is_owed_and_made_up_for() {
    let world = World::new();
    world.put(100);
    world.enter(RunState::Running);
    move_page(&world.vm, frame(0));
    world.preempt();
    assert!(world.runner.is_owed());
    make_up(&world.runner, &mut SlotsHeld::new(&world.vm));
    assert!(!world.runner.is_owed());
    assert_eq!(world.seen(100), 1);
}

#[test]
fn the_times_go_on_while_the_guest_is_owed_its_copy() {
    let world = World::new();
    world.put(100);
    world.enter(RunState::Running);
    move_page(&world.vm, frame(0));
    world.preempt();
    world.enter(RunState::Running);
    assert!(!world.runner.is_owed());
    let spent = world.runner.change_times(|times| times.spent);
    assert_eq!(spent, [10, 10, 0, 10]);
}

#[test]
fn a_page_that_is_not_there_is_owed_until_it_is() {
    let world = World::new();
    world.put(100);
    world.vm.caches.use_foreign_tasks(true);
    move_page(&world.vm, frame(0));
    world.enter(RunState::Blocked);
    assert!(world.runner.is_owed());
    world.vm.caches.use_foreign_tasks(false);
    make_up(&world.runner, &mut SlotsHeld::new(&world.vm));
    assert!(!world.runner.is_owed());
    assert_eq!(world.seen(100), 2);
}

#[test]
fn without_an_area_nothing_is_owed() {
    let world = World::new();
    world.enter(RunState::Running);
    world.preempt();
    assert!(!world.runner.is_owed());
    assert_eq!(world.vm.caches.look_ups.get(), 0);
}

#[test]
fn an_area_that_is_given_up_is_no_longer_owed() {
    let world = World::new();
    world.put(100);
    move_page(&world.vm, frame(0));
    world.preempt();
    assert!(world.runner.is_owed());
    let placed = place(&world.runner, &mut SlotsHeld::new(&world.vm), None);
    assert_eq!(placed, Ok(()));
    assert!(!world.runner.is_owed() && !world.runner.area().0.is_active());
}

#[test]
fn an_area_is_placed_in_as_many_pages_as_it_needs() {
    let world = World::new();
    world.enter(RunState::Blocked);
    let mut slots = SlotsHeld::new(&world.vm);
    for (left, layout, both) in [
        (100, Layout::Native, false),
        (0x2c, Layout::Compat, false),
        (0x2c, Layout::Native, true),
        (0x30, Layout::Native, false),
        (1, Layout::Compat, true),
    ] {
        world.runner.set_layout(layout);
        let address = Address::Guest(frame(0).addr() + (PAGE_SIZE - left) as u64);
        let placed = place(&world.runner, &mut slots, Some(address));
        assert_eq!((placed, world.seen(left)), (Ok(()), 2));
        assert_eq!(world.runner.area().1.is_active(), both);
    }
}

#[test]
fn an_area_that_cannot_be_placed_is_nowhere() {
    let world = World::new();
    world.put(100);
    let mut slots = SlotsHeld::new(&world.vm);
    let nowhere = Address::Guest(1 << 62);
    let placed = place(&world.runner, &mut slots, Some(nowhere));
    assert_eq!(placed, Err(Refused::NoPage));
    let (first, second) = world.runner.area();
    assert!(!first.is_active() && !second.is_active());
}

#[test]
fn the_guest_hears_of_what_userspace_adds() {
    let world = World::new();
    world.put(100);
    world.enter(RunState::Running);
    world.runner.clock.store(1000, SeqCst);
    let mut slots = SlotsHeld::new(&world.vm);
    let claim = |state, entry, spent| Claim {
        state,
        entry,
        spent,
    };
    let sets = claim(2, 100, [40, 30, 20, 10]);
    assert_eq!(set(&world.runner, &sets), Ok(()));
    assert_eq!(world.seen(100), 0, "at the next change");
    let adds = claim(u64::MAX, 4, [1; 4]);
    assert_eq!(adjust(&world.runner, &mut slots, &adds), Ok(()));
    assert_eq!(world.seen(100), 2);
    let enters = claim(3, 4, [1; 4]);
    assert_eq!(adjust(&world.runner, &mut slots, &enters), Ok(()));
    assert_eq!(world.seen(100), 3);
    let times = world.runner.times();
    assert_eq!(times.spent, [42, 32, 22 + 892, 12]);
    assert!(adjust(&world.runner, &mut slots, &adds).is_err(), "to come");
}

/// The second page comes into use when the guest needs it.
#[test]
fn a_guest_that_becomes_wider_gets_its_second_page() {
    let world = World::new();
    world.runner.set_layout(Layout::Compat);
    world.put(0x2c);
    world.enter(RunState::Blocked);
    assert!(!world.runner.area().1.is_active());
    world.runner.set_layout(Layout::Native);
    world.preempt();
    assert!(world.runner.is_owed(), "the scheduler cannot look it up");
    world.enter(RunState::Blocked);
    assert!(world.runner.area().1.is_active() && !world.runner.is_owed());
    assert_eq!(world.seen(0x2c), 2);
}

#[test]
fn the_scheduler_never_waits() {
    let world = World::new();
    world.put(20);
    world.enter(RunState::Running);
    for index in [0, 1] {
        move_page(&world.vm, frame(index));
        let look_ups = world.vm.caches.look_ups.get();
        world.preempt();
        assert_eq!(world.vm.caches.look_ups.get(), look_ups);
        assert!(world.runner.is_owed());
        world.enter(RunState::Running);
    }
}
