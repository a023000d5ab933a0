// SPDX-License-Identifier: GPL-2.0

//! What userspace sets of a Xen guest, and what the guest gets by it.

mod common;

use common::{
    frame,
    xen::{World, LAYOUTS},
};
use kvmrs_model::{
    kvm::{gpc::Refused, xen::Layout, SlotsHeld},
    world::gpc::move_page,
    xen::{
        config::{Config, Invalid},
        page::entry,
        wallclock::tell,
    },
};

#[test]
fn the_wall_clock_is_where_the_guest_looks_for_it() {
    let world = World::new(None);
    let epoch = 0x1_2345_6789 * 1_000_000_000 + 987_654_321;
    for (layout, clock, high) in [
        (Layout::Compat, 0x900, 0x924),
        (Layout::Native, 0xc00, 0xc0c),
    ] {
        world.wipe();
        let mut slots = SlotsHeld::new(&world.vm);
        let word = |at| world.vm.caches.memory.word(world.pfn(frame(0)), at);
        for version in [2, 4] {
            let told = tell(world.shared(), &mut slots, layout, || epoch);
            assert_eq!(told, Ok(()));
            let seen = [word(clock), word(clock + 4), word(clock + 8), word(high)];
            assert_eq!(seen, [version, 0x2345_6789, 987_654_321, 1]);
        }
    }
}

#[test]
fn the_version_of_the_wall_clock_is_odd_while_it_is_written() {
    let world = World::new(None);
    for layout in LAYOUTS {
        world.wipe();
        world.vm.caches.memory.take_written();
        let mut slots = SlotsHeld::new(&world.vm);
        tell(world.shared(), &mut slots, layout, || 1).expect("there is a page");
        let written = world.vm.caches.memory.take_written();
        let version = layout.places().wall_clock;
        let one = |value: u32| (version, value.to_le_bytes().to_vec());
        assert_eq!(written.first(), Some(&one(1)));
        assert_eq!(written.last(), Some(&one(2)));
        let between = &written[1..written.len() - 1];
        assert!(between.iter().all(|(at, _)| *at != version));
    }
}

#[test]
fn the_page_of_the_wall_clock_is_made_present_and_not_marked_dirty() {
    let world = World::new(None);
    let slot = &world.vm.slots()[0];
    slot.set_dirty_tracked(true);
    let mut slots = SlotsHeld::new(&world.vm);
    move_page(&world.vm, frame(0));
    let told = tell(world.shared(), &mut slots, Layout::Native, || 1);
    assert_eq!(told, Ok(()));
    assert_eq!(slot.take_log().len(), 0, "the page is in the log");
    world.vm.caches.use_foreign_tasks(true);
    move_page(&world.vm, frame(0));
    let told = tell(world.shared(), &mut slots, Layout::Native, || 1);
    assert_eq!(told, Err(Refused::Foreign));
}

#[test]
fn a_call_is_its_number_and_an_instruction() {
    let mut expected = vec![0xb8, 0x78, 0x56, 0x34, 0x12, 0x0f, 0x01, 0xd9, 0xc3];
    expected.resize(32, 0xcc);
    assert_eq!(entry(0x1234_5678, [0x0f, 0x01, 0xd9]).to_vec(), expected);
}

#[test]
fn a_configuration_is_taken_if_all_of_it_can_be_done() {
    let good = Config {
        flags: 1 << 1 | 1 << 5 | 1 << 7,
        msr: 0x4000_0200,
        has_pages: false,
    };
    let with_pages = Config {
        flags: 1 << 5,
        has_pages: true,
        ..good
    };
    for config in [
        good,
        with_pages,
        Config { msr: 0, ..good },
        Config {
            msr: 0x4000_0000,
            ..good
        },
        Config {
            msr: 0x4fff_ffff,
            ..good
        },
    ] {
        assert_eq!(config.check(), Ok(()));
    }
    let unknown = (0..32).filter(|bit| ![1, 5, 7].contains(bit));
    for config in unknown
        .map(|bit| Config {
            flags: 1 << bit,
            ..good
        })
        .chain(
            [1, 0x3fff_ffff, 0x5000_0000, 0xc000_0080, u32::MAX].map(|msr| Config { msr, ..good }),
        )
        .chain([Config {
            has_pages: true,
            ..good
        }])
    {
        assert_eq!(config.check(), Err(Invalid), "{config:?}");
    }
}
