// SPDX-License-Identifier: GPL-2.0

//! What a guest's kernel gets for its calls.

mod common;

use common::{
    frame,
    xen::{World, INFO, LAYOUTS},
};
use kvmrs_model::{
    atomic::Ordering::SeqCst,
    kvm::xen::{Assigned, Caller, Destination, Event, EventFd, Kind, Layout, Moment},
    pfncache::refresh::deactivate,
    world::gpc::move_page,
    xen::{
        answer::{answer, Answer},
        hypercall::{Refusal, Registers},
    },
};
use std::cell::RefCell;

const AT: u64 = 0x1000;

fn ask(caller: &mut Caller<'_>, layout: Layout, input: u64, params: [u64; 3]) -> Option<Answer> {
    let [first, second, third] = params;
    let registers = Registers {
        input,
        params: [first, second, third, 0, 0, 0],
        layout,
        cpl: 0,
    };
    answer(caller, &registers)
}

fn sends(caller: &mut Caller<'_>) -> Option<Answer> {
    ask(caller, Layout::Native, 32, [4, AT, 0])
}

fn port(number: u32) -> Vec<(u64, Vec<u8>)> {
    vec![(AT, number.to_le_bytes().to_vec())]
}

#[test]
fn the_version_is_userspaces_unless_it_was_set() {
    let world = World::new(None);
    let mut caller = Caller::new(&world.runner, vec![]);
    assert_eq!(ask(&mut caller, Layout::Native, 17, [0; 3]), None);
    caller.version.store(0x4_0011, SeqCst);
    let version = ask(&mut caller, Layout::Native, 17, [0; 3]);
    assert_eq!(version, Some(Ok(0x4_0011)));
    assert_eq!(ask(&mut caller, Layout::Native, 17, [1, 0, 0]), None);
}

#[test]
fn an_event_goes_where_its_port_leads_to() {
    let world = World::new(None);
    let eventfd = EventFd::default();
    let mut caller = Caller::new(&world.runner, port(9));
    assert_eq!(sends(&mut caller), None, "it leads nowhere");
    let leads = |to| Assigned {
        kind: Kind::Interdomain,
        to,
    };
    let to = Destination::EventFd(eventfd.clone());
    caller.ports.insert(9, leads(to));
    assert_eq!((sends(&mut caller), eventfd.count()), (Some(Ok(0)), 1));
    for (port, vcpu, expected) in [
        (70, 0, Some(Ok(0))),
        (70, 1, None),
        (4096, 0, None),
        (70, 0, Some(Ok(0))),
    ] {
        let to = Destination::Port(Event::new(port, vcpu));
        caller.ports.insert(9, leads(to));
        assert_eq!(sends(&mut caller), expected);
    }
    assert!(world.bit(frame(0), 0x800, 70));
    deactivate(world.shared());
    assert_eq!(sends(&mut caller), None, "there is no page for it");
}

#[test]
fn a_guest_that_describes_nothing_is_told_so() {
    let world = World::new(None);
    let mut caller = Caller::new(&world.runner, vec![]);
    assert_eq!(sends(&mut caller), Some(Err(Refusal::Fault)));
    let polls = ask(&mut caller, Layout::Native, 29, [3, AT, 0]);
    assert_eq!(polls, Some(Err(Refusal::Fault)));
}

#[test]
fn who_cannot_poll_gives_way() {
    let world = World::new(None);
    let mut caller = Caller::new(&world.runner, vec![]);
    caller.polls.store(false, SeqCst);
    let polls = ask(&mut caller, Layout::Native, 29, [3, AT, 0]);
    assert_eq!((polls, caller.gave_way.get()), (Some(Ok(0)), 1));
    let yields = ask(&mut caller, Layout::Native, 29, [0, 0, 0]);
    assert_eq!((yields, caller.gave_way.get()), (Some(Ok(0)), 2));
    assert!(caller.take_sleeps().is_empty());
}

impl World {
    /// A guest with a timer, whose clock is at 100 when the host's is at 5000.
    fn with_timer(&self) {
        self.runner.clock.store(100, SeqCst);
        *self.runner.moment.lock().expect("no panic") = Moment { host: 5000, tsc: 0 };
        self.target().timer().stop().set_port(70);
    }

    fn due(&self) -> (u64, Option<u64>) {
        let timer = self.target().timer();
        (timer.due().load(SeqCst), timer.armed_for())
    }
}

#[test]
fn a_timer_is_set_and_stopped() {
    let world = World::new(None);
    let mut caller = Caller::new(&world.runner, vec![]);
    let mut sets = |time| ask(&mut caller, Layout::Native, 15, [time, 0, 0]);
    assert_eq!(sets(150), None, "it has no port");
    world.with_timer();
    assert_eq!((sets(150), world.due()), (Some(Ok(0)), (150, Some(5050))));
    let soon = (100_000_100, Some(100_005_000));
    assert_eq!((sets(u64::MAX), world.due()), (Some(Ok(0)), soon));
    assert_eq!((sets(0), world.due()), (Some(Ok(0)), (0, None)));
    assert!(!world.bit(frame(0), 0x800, 70), "it was stopped");
    assert_eq!(sets(50), Some(Ok(0)));
    assert!(world.bit(frame(0), 0x800, 70), "it was due already");
}

#[test]
fn a_vcpu_sets_its_own_singleshot_timer_alone() {
    let world = World::new(None);
    let mut described = 150u64.to_le_bytes().to_vec();
    described.extend([0; 4]);
    for layout in LAYOUTS {
        let caller = RefCell::new(Caller::new(&world.runner, vec![(AT, described.clone())]));
        let sets = |vcpu| ask(&mut caller.borrow_mut(), layout, 24, [8, vcpu, AT]);
        let stops = |vcpu| ask(&mut caller.borrow_mut(), layout, 24, [9, vcpu, 0]);
        world.target().timer().stop().set_port(0);
        assert_eq!((sets(3), stops(3)), (None, None), "it has no port");
        world.with_timer();
        *world.runner.id.lock().expect("no panic") = None;
        assert_eq!((sets(3), stops(3)), (None, None), "it has no number");
        *world.runner.id.lock().expect("no panic") = Some(3);
        let invalid = Some(Err(Refusal::Invalid));
        assert_eq!((sets(4), stops(4)), (invalid, invalid));
        match layout {
            Layout::Compat => {
                assert_eq!((sets(3), world.due()), (Some(Ok(0)), (150, Some(5050))));
            }
            // Here there are four bytes more.
            Layout::Native => assert_eq!(sets(3), Some(Err(Refusal::Fault))),
        }
        assert_eq!((stops(3), world.due()), (Some(Ok(0)), (0, None)));
    }
}

/// What the guest's page of clocks says about its own clock.
fn give_clock(world: &World, page: u64, at: usize, shift: u8) {
    let mut clock = [0; 32];
    clock[16..24].copy_from_slice(&1000u64.to_le_bytes());
    clock[24..28].copy_from_slice(&0x8000_0000u32.to_le_bytes());
    clock[28] = shift;
    for (n, byte) in clock.into_iter().enumerate() {
        let pfn = world.pfn(frame(page));
        world.vm.caches.memory.set_byte(pfn, at + n, byte);
    }
}

#[test]
fn time_is_read_as_the_guest_reads_it() {
    let world = World::new(None);
    let mut caller = Caller::new(&world.runner, vec![]);
    world.with_timer();
    *world.runner.ticks.lock().expect("no panic") = Some((1, 0x8000_0000));
    *world.runner.moment.lock().expect("no panic") = Moment {
        host: 5000,
        tsc: 300,
    };
    let mut sets = || {
        let done = ask(&mut caller, Layout::Native, 15, [1400, 0, 0]);
        assert_eq!(done, Some(Ok(0)));
        world.due().1
    };
    give_clock(&world, 1, INFO + 32, 2);
    assert_eq!(sets(), Some(5000 + 1300), "that clock is an old one");
    give_clock(&world, 1, INFO + 32, 1);
    assert_eq!(sets(), Some(5000 + 100));
    move_page(&world.vm, frame(1));
    give_clock(&world, 1, INFO + 32, 1);
    assert_eq!(sets(), Some(5000 + 100), "wherever the page is");
}
