// SPDX-License-Identifier: GPL-2.0

//! The run state: the guest finds times that belong together.

use super::{explore, world::World};
use kvmrs_model::{
    atomic::spin,
    kvm::{
        gpc::PAGE_SIZE,
        xen::{Layout, RunState, Times},
        SlotsHeld,
    },
    xen::area::Area,
};

/// The frame that it begins in.
const AREA: u64 = 2;
/// The place of the run state: so that its entry time lies across two pages.
const AREA_AT: usize = PAGE_SIZE - 12;

/// All times are the same number, so that a mixture is seen.
fn times(number: u64) -> Times {
    Times {
        state: RunState::new(number % 4).expect("it is one"),
        entry: number,
        spent: [number; 4],
        waited: 0,
    }
}

/// A byte of the run state, by its distance from the start.
fn area_byte(world: &World, at: usize) -> u8 {
    let at = AREA_AT + at;
    let frame = AREA + (at / PAGE_SIZE) as u64;
    world.memory().byte(world.pfn(frame), at % PAGE_SIZE)
}

/// The state, the lowest and the highest byte of the entry time, and the lowest one of the last time.
const WATCHED: [usize; 4] = [0, 8, 15, 40];

/// As Linux reads it: loads stay in their order.
fn reads_times(world: &World) {
    let entry = || loop {
        let high = area_byte(world, WATCHED[2]);
        let low = area_byte(world, WATCHED[1]);
        if area_byte(world, WATCHED[2]) == high {
            return (high, low);
        }
        spin();
    };
    loop {
        let before = entry();
        let (state, time) = (area_byte(world, WATCHED[0]), area_byte(world, WATCHED[3]));
        if before.0 & 0x80 == 0 && entry() == before {
            assert_eq!(state, time % 4, "the state is of another time");
            assert_eq!(time, before.1, "the times are of different moments");
            return;
        }
        spin();
    }
}

fn writes_times(world: &World) {
    let slots = SlotsHeld::new(&world.vm);
    let area = Area::pin(&world.area[0], &world.area[1], &slots, Layout::Native);
    let area = area.expect("both pages are there");
    area.write(&times(2), true).expect("it is large enough");
}

#[test]
fn times_belong_together() {
    explore("xen, times belong together", 4, || {
        let world = World::new(&[]);
        for at in WATCHED {
            let at = AREA_AT + at;
            let frame = AREA + (at / PAGE_SIZE) as u64;
            world.memory().watch(world.pfn(frame), at % PAGE_SIZE);
        }
        let rest = PAGE_SIZE - AREA_AT;
        world.use_page(&world.area[0], AREA, AREA_AT, rest);
        world.use_page(&world.area[1], AREA + 1, 0, 48 - rest);
        world.race(&[writes_times, reads_times]);
        world.close();
    });
}
