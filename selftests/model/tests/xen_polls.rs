// SPDX-License-Identifier: GPL-2.0

//! A vCPU polls for events.

mod common;

use common::{
    frame,
    xen::{ports, World, LAYOUTS},
};
use kvmrs_model::{
    kvm::{
        xen::{Caller, Layout},
        SlotsHeld,
    },
    world::gpc::move_page,
    xen::{
        hypercall::{Described, Refusal},
        poll::{poll, Invalid, Polling, Ports, Request, MAX_PORTS},
    },
};

fn begin<'a>(world: &'a World, layout: Layout, ports: &[u32]) -> Option<Polling<'a>> {
    let slots = SlotsHeld::new(&world.vm);
    let ports: Vec<_> = ports.iter().map(|port| port.to_le_bytes()).collect();
    let ports = Ports::new(layout, &ports).expect("there are such ports");
    Polling::begin(world.shared(), &slots, world.target(), ports)
}

#[test]
fn who_polls_is_woken_by_a_masked_port_of_its_choice_once() {
    let world = World::new(None);
    for layout in LAYOUTS {
        for wanted in [&[65][..], &[0], &[7, 65], &[65, 65], &[]] {
            world.wipe();
            [0, 7, 65, 66]
                .iter()
                .for_each(|port| world.mask(layout, *port));
            let before = world.target().wakes.get();
            let polling = begin(&world, layout, wanted).expect("nothing is pending");
            world.send(layout, 66);
            let one = wanted.len() == 1;
            assert_eq!(world.target().wakes.get() - before, i64::from(!one));
            world.send(layout, wanted.first().copied().unwrap_or(7));
            assert_eq!(world.target().wakes.get() - before, 1);
            drop(polling);
        }
    }
}

#[test]
fn who_polls_no_longer_is_not_woken() {
    let world = World::new(None);
    for port in [0, 65] {
        world.mask(Layout::Native, port);
        drop(begin(&world, Layout::Native, &[port]));
        world.send(Layout::Native, port);
        assert_eq!(world.target().wakes.get(), 0);
    }
}

#[test]
fn nobody_sleeps_for_what_is_pending_or_cannot_be_looked_at() {
    let world = World::new(None);
    world.mask(Layout::Native, 65);
    world.send(Layout::Native, 65);
    assert!(begin(&world, Layout::Native, &[7, 65]).is_none());
    assert!(begin(&world, Layout::Native, &[7]).is_some());
    move_page(&world.vm, frame(0));
    assert!(begin(&world, Layout::Native, &[7]).is_none());
}

#[test]
fn what_the_guest_asks_for_is_read_by_its_layout() {
    let mut bytes: [u8; 24] = std::array::from_fn(|at| at as u8 + 1);
    bytes[4..8].copy_from_slice(&[127, 0, 0, 0]);
    let request = Request::new(Layout::Compat, &bytes).expect("127 ports are fine");
    assert_eq!((request.ports(), request.count()), (0x0403_0201, 127));
    assert_eq!(request.timeout(), Some(0x100f_0e0d_0c0b_0a09));
    bytes[8..12].copy_from_slice(&[128, 0, 0, 0]);
    let request = Request::new(Layout::Native, &bytes).expect("128 ports are fine");
    assert_eq!((request.ports(), request.count()), (0x7f_0403_0201, 128));
    assert_eq!(request.timeout(), Some(0x1817_1615_1413_1211));
}

#[test]
fn too_many_ports_are_refused() {
    for (layout, at) in [(Layout::Compat, 4), (Layout::Native, 8)] {
        for count in [MAX_PORTS as u32 + 1, 1 << 16, u32::MAX] {
            let mut bytes = [0; 24];
            bytes[at..at + 4].copy_from_slice(&count.to_le_bytes());
            assert_eq!(Request::new(layout, &bytes), Err(Invalid));
        }
    }
}

fn are_refused(layout: Layout, numbers: &[u32; MAX_PORTS]) -> bool {
    Ports::new(layout, &numbers.map(u32::to_le_bytes)).is_err()
}

#[test]
fn a_port_that_is_none_spoils_all() {
    for layout in LAYOUTS {
        let end = ports(layout);
        for bad in [end, 1 << 31, u32::MAX] {
            let mut numbers = [end - 1; MAX_PORTS];
            assert!(!are_refused(layout, &numbers));
            for at in [0, 1, MAX_PORTS - 1] {
                numbers[at] = bad;
                assert!(are_refused(layout, &numbers));
                numbers[at] = 0;
            }
        }
    }
}

/// Where a guest describes its poll, and where its ports are.
const DESCRIBED: u64 = 0x1000;
const NUMBERS: u64 = 0x2000;

/// A guest of `layout` polls, by a call of code of `code`, for so many of `numbers`.
fn call(
    world: &World,
    [layout, code]: [Layout; 2],
    numbers: &[u32],
    count: u32,
    timeout: u64,
) -> (Result<(), Refusal>, Vec<Option<u64>>) {
    let mut described = match code {
        Layout::Compat => (NUMBERS as u32).to_le_bytes().to_vec(),
        Layout::Native => NUMBERS.to_le_bytes().to_vec(),
    };
    described.extend(count.to_le_bytes());
    described.resize(code.places().poll_timeout, 0xaa);
    described.extend(timeout.to_le_bytes());
    let numbers = numbers.iter().flat_map(|number| number.to_le_bytes());
    let memory = vec![(DESCRIBED, described), (NUMBERS, numbers.collect())];
    world.runner.set_layout(layout);
    let mut caller = Caller::new(&world.runner, memory);
    let answer = poll(&mut caller, code, Described(DESCRIBED));
    (answer, caller.take_sleeps())
}

#[test]
fn a_guest_sleeps_as_long_as_it_asks_for_unless_a_port_is_pending() {
    let world = World::new(None);
    for both in LAYOUTS.iter().flat_map(|a| LAYOUTS.map(|b| [*a, b])) {
        world.wipe();
        world.mask(both[0], 65);
        for (numbers, timeout) in [(&[65][..], 0), (&[7, 65], 5), (&[], 1)] {
            let expected = (timeout != 0).then_some(timeout);
            let count = numbers.len() as u32;
            let (answer, sleeps) = call(&world, both, numbers, count, timeout);
            assert_eq!((answer, sleeps), (Ok(()), vec![expected]));
        }
        world.send(both[0], 65);
        let (answer, sleeps) = call(&world, both, &[7, 65], 2, 5);
        assert_eq!((answer, sleeps), (Ok(()), vec![]));
    }
}

#[test]
fn the_width_of_the_code_is_not_that_of_the_ports() {
    let world = World::new(None);
    let wide_code = [Layout::Compat, Layout::Native];
    let (answer, sleeps) = call(&world, wide_code, &[1024], 1, 0);
    assert_eq!((answer, sleeps), (Err(Refusal::Invalid), vec![]));
    let narrow_code = [Layout::Native, Layout::Compat];
    let (answer, sleeps) = call(&world, narrow_code, &[1024], 1, 0);
    assert_eq!((answer, sleeps), (Ok(()), vec![None]));
}

#[test]
fn what_is_not_there_or_too_much_is_no_reason_to_sleep() {
    let world = World::new(None);
    for code in LAYOUTS {
        let both = [Layout::Native, code];
        for (numbers, count, refusal) in [
            (&[][..], 1, Refusal::Fault),
            (&[1, 2], 3, Refusal::Fault),
            (&[1, 2], 129, Refusal::Invalid),
            (&[1, 4096], 2, Refusal::Invalid),
        ] {
            let (answer, sleeps) = call(&world, both, numbers, count, 0);
            assert_eq!((answer, sleeps), (Err(refusal), vec![]));
        }
    }
    let mut caller = Caller::new(&world.runner, vec![]);
    let answer = poll(&mut caller, Layout::Native, Described(DESCRIBED));
    assert_eq!(answer, Err(Refusal::Fault));
}
