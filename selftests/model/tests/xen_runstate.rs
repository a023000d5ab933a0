// SPDX-License-Identifier: GPL-2.0

//! A vCPU's run state, between the scheduler, userspace and the host's memory.

mod common;

use common::{frame, memory, vm_with, Options};
use kvmrs_model::{
    atomic::Ordering::SeqCst,
    kvm::{
        gpc::{Address, PAGE_SIZE},
        xen::{Layout, RunState, Runner},
        Level, SlotsHeld, Vm,
    },
    machine::npt,
    pfncache::refresh::deactivate,
    sync::preempt,
    world::gpc::{activate, move_page},
    xen::runstate::{enter, preempt as preempted},
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
fn what_the_scheduler_cannot_write_is_written_on_the_way_back() {
    let world = World::new();
    world.put(100);
    world.enter(RunState::Blocked);
    move_page(&world.vm, frame(0));
    world.preempt();
    world.enter(RunState::Running);
    assert_eq!(world.seen(100), 0);
    let spent = world.runner.times().spent;
    assert_eq!(spent, [0, 10, 10, 10], "the times went on");
}

#[test]
fn a_page_that_is_not_there_is_given_up() {
    let world = World::new();
    world.put(100);
    world.vm.caches.use_foreign_tasks(true);
    move_page(&world.vm, frame(0));
    world.enter(RunState::Blocked);
    world.vm.caches.use_foreign_tasks(false);
    world.enter(RunState::Running);
    assert_eq!(world.seen(100), 0);
}

#[test]
fn without_an_area_nothing_is_looked_up() {
    let world = World::new();
    world.enter(RunState::Running);
    world.preempt();
    assert_eq!(world.vm.caches.look_ups.get(), 0);
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
    assert!(
        !world.runner.area().1.is_active(),
        "the scheduler cannot look it up"
    );
    world.enter(RunState::Blocked);
    assert!(world.runner.area().1.is_active());
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
        world.enter(RunState::Running);
    }
}
