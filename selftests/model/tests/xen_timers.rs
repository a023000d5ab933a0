// SPDX-License-Identifier: GPL-2.0

//! A vCPU's timer, one step after the other. The orders of its steps are the model checkers'.

mod common;

use common::{frame, xen::World};
use kvmrs_model::{
    atomic::Ordering::SeqCst,
    kvm::SlotsHeld,
    pfncache::refresh::deactivate,
    world::gpc::move_page,
    xen::{
        deadline::{Deadline, Setter},
        timer::{deliver, due, expire, set, Recipient},
    },
};

const PORT: u32 = 70;

/// A guest whose timer is due at 10 of its clock, which is 1010 of the host's.
fn armed() -> World {
    let world = World::new(None);
    world.target().timer().stop().set_port(PORT);
    let deadline = Deadline::new(10, 0, Setter::Other);
    let slots = SlotsHeld::new(&world.vm);
    set(world.target().timer(), to(&world), &slots, deadline, 1000);
    world
}

fn to(world: &World) -> Recipient<'_> {
    Recipient::of(world.target())
}

/// The host's interrupt.
fn interrupt(world: &World) {
    let slots = SlotsHeld::new(&world.vm);
    let timer = world.target().timer();
    timer.interrupt(|| expire(timer, to(world), &slots));
}

/// As userspace asks for it.
fn asked(world: &World) -> u64 {
    let mut slots = SlotsHeld::new(&world.vm);
    due(world.target().timer(), to(world), &mut slots)
}

fn has_told(world: &World) -> bool {
    world.bit(frame(0), 0x800, PORT as usize)
}

fn is_undelivered(world: &World) -> bool {
    world.target().timer().undelivered().load(SeqCst) != 0
}

#[test]
fn a_timer_goes_on_while_userspace_asks_for_it() {
    let world = armed();
    assert_eq!(asked(&world), 10);
    assert_eq!(world.target().timer().armed_for(), Some(1010));
    interrupt(&world);
    assert!(has_told(&world));
    assert_eq!(asked(&world), 0);
    assert_eq!(world.target().timer().armed_for(), None, "it is over");
}

#[test]
fn what_the_interrupt_cannot_tell_is_delivered_once() {
    let tasks: [fn(&World); 2] = [
        |world| {
            let mut slots = SlotsHeld::new(&world.vm);
            deliver(world.target().timer(), to(world), &mut slots);
        },
        |world| assert_eq!(asked(world), 0),
    ];
    for task in tasks {
        let world = armed();
        task_finds_nothing(&world);
        move_page(&world.vm, frame(0));
        interrupt(&world);
        assert!(is_undelivered(&world) && !has_told(&world));
        assert_eq!(world.target().wakes.get(), 1, "its task has to deliver it");
        task(&world);
        assert!(!is_undelivered(&world) && has_told(&world));
        assert_eq!(asked(&world), 0);
    }
}

fn task_finds_nothing(world: &World) {
    let mut slots = SlotsHeld::new(&world.vm);
    deliver(world.target().timer(), to(world), &mut slots);
    assert!(!has_told(world), "it is not due yet");
    assert_eq!(world.target().timer().due().load(SeqCst), 10);
}

#[test]
fn without_the_bitmaps_nothing_is_left_of_an_event() {
    let world = armed();
    deactivate(world.shared());
    interrupt(&world);
    assert!(is_undelivered(&world));
    assert_eq!(asked(&world), 0);
    assert!(!is_undelivered(&world));
}
