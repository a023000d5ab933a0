// SPDX-License-Identifier: GPL-2.0

//! The guest's copy of a vCPU's run state: in both layouts, wherever it lies.

mod common;

use common::{frame, memory, vm_with, Options};
use kvmrs_model::{
    kvm::{
        gpc::{Address, Gpc, PAGE_SIZE},
        types::Pfn,
        xen::{Layout, RunState, Times},
        Gfn, Level, SlotsHeld, Vm,
    },
    machine::npt,
    pfncache::refresh::deactivate,
    world::gpc::{activate, move_page},
    xen::area::{Area, Missing},
};
use std::sync::Arc;

const LAYOUTS: [Layout; 2] = [Layout::Compat, Layout::Native];
/// What no area has.
const UNTOUCHED: u8 = 0xaa;

const TIMES: Times = Times {
    state: RunState::Blocked,
    entry: 0x0102_0304_0506_0708,
    spent: [
        0x1112_1314_1516_1718,
        0x2122_2324_2526_2728,
        0x3132_3334_3536_3738,
        0x4142_4344_4546_4748,
    ],
    waited: 0,
};

/// A VM, and the caches of an area.
struct World {
    vm: Arc<Vm>,
    first: Arc<Gpc>,
    second: Arc<Gpc>,
}

fn guest(frame: Gfn, offset: usize) -> Address {
    Address::Guest(frame.addr() + offset as u64)
}

impl World {
    /// Both pages are full of [`UNTOUCHED`].
    fn new() -> Self {
        let vm = vm_with(npt(), memory(), Level::PG_4K, Options::default());
        let (first, second) = (Gpc::new(&vm), Gpc::new(&vm));
        let world = Self { vm, first, second };
        world.wipe();
        world
    }

    fn wipe(&self) {
        for at in 0..2 * PAGE_SIZE {
            let (pfn, offset) = self.place(at);
            self.vm.caches.memory.set_byte(pfn, offset, UNTOUCHED);
        }
    }

    /// Where the byte is that is `at` bytes behind the first page's start.
    fn place(&self, at: usize) -> (Pfn, usize) {
        let frame = frame((at / PAGE_SIZE) as u64);
        let page = self.vm.primary.page(frame).expect("there is a page");
        (page.pfn_of(frame), at % PAGE_SIZE)
    }

    fn byte(&self, at: usize) -> u8 {
        let (pfn, offset) = self.place(at);
        self.vm.caches.memory.byte(pfn, offset)
    }

    /// The area begins at `offset` of the first page.
    fn put(&self, offset: usize) {
        let rest = PAGE_SIZE - offset;
        activate(&self.first, guest(frame(0), offset), rest).expect("there is a page");
        activate(&self.second, guest(frame(1), 0), 1).expect("there is a page");
    }

    fn write(&self, layout: Layout, announce: bool) -> Result<(), Missing> {
        let slots = SlotsHeld::new(&self.vm);
        let area = Area::pin(&self.first, &self.second, &slots, layout)?;
        area.write(&TIMES, announce).expect("it is large enough");
        Ok(())
    }

    /// What the kernel has written: how far behind the area's start, and what.
    fn take_written(&self, offset: usize) -> Vec<(usize, Vec<u8>)> {
        let behind = |at: usize| (at + PAGE_SIZE - offset) % PAGE_SIZE;
        let written = self.vm.caches.memory.take_written().into_iter();
        let written = written.map(|(at, bytes)| (behind(at), bytes));
        written.filter(|(_, bytes)| !bytes.is_empty()).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        deactivate(&self.first);
        deactivate(&self.second);
    }
}

/// What the guest is to find, by the structs' definition.
fn expected(layout: Layout) -> Vec<u8> {
    let mut bytes = 2u32.to_le_bytes().to_vec();
    if layout == Layout::Native {
        bytes.extend([0; 4]);
    }
    for time in [&[TIMES.entry][..], &TIMES.spent].concat() {
        bytes.extend(time.to_le_bytes());
    }
    bytes
}

/// Where in the area the byte is that says that it is being written.
fn update_at(layout: Layout) -> usize {
    match layout {
        Layout::Compat => 11,
        Layout::Native => 15,
    }
}

fn offsets() -> impl Iterator<Item = usize> {
    [0, 1, 4, 100].into_iter().chain(PAGE_SIZE - 50..PAGE_SIZE)
}

#[test]
fn the_guest_finds_its_times_wherever_the_area_is() {
    let world = World::new();
    for (layout, offset) in LAYOUTS.iter().flat_map(|l| offsets().map(move |o| (*l, o))) {
        for announce in [false, true] {
            world.wipe();
            world.put(offset);
            world.write(layout, announce).expect("both pages are there");
            let expected = expected(layout);
            for at in 0..2 * PAGE_SIZE {
                let wanted = at.checked_sub(offset).and_then(|at| expected.get(at));
                let wanted = wanted.copied().unwrap_or(UNTOUCHED);
                assert_eq!(world.byte(at), wanted, "{layout:?} at {offset}: byte {at}");
            }
        }
    }
}

#[test]
fn the_bit_is_set_before_all_else_and_goes_after_it() {
    let world = World::new();
    for (layout, offset) in LAYOUTS.iter().flat_map(|l| offsets().map(move |o| (*l, o))) {
        world.put(offset);
        world.write(layout, true).expect("both pages are there");
        let written = world.take_written(offset);
        let (body, update) = (&written[1..written.len() - 1], update_at(layout));
        assert_eq!(written[0], (update, vec![0x81]));
        assert_eq!(written[written.len() - 1], (update, vec![0x01]));
        let body: Vec<_> = body.iter().flat_map(|(_, bytes)| bytes).copied().collect();
        let mut expected = expected(layout);
        expected[update] |= 0x80;
        assert_eq!(body, expected);
    }
}

#[test]
fn nobody_is_told_who_has_not_asked_for_it() {
    let world = World::new();
    for layout in LAYOUTS {
        world.put(0);
        world.write(layout, false).expect("both pages are there");
        assert_eq!(world.take_written(0), [(0, expected(layout))]);
    }
}

#[test]
fn each_page_that_is_written_is_marked_dirty() {
    let world = World::new();
    let slot = &world.vm.slots()[0];
    slot.set_dirty_tracked(true);
    world.put(PAGE_SIZE - 0x2c);
    world.write(Layout::Compat, true).expect("it fits");
    let log = slot.take_log();
    assert!(log.contains(&frame(0)) && !log.contains(&frame(1)));
    world.write(Layout::Native, true).expect("both are there");
    let log = slot.take_log();
    assert!(log.contains(&frame(0)) && log.contains(&frame(1)));
}

#[test]
fn a_missing_page_is_named_and_nothing_is_written() {
    let world = World::new();
    let offset = PAGE_SIZE - 20;
    world.put(offset);
    move_page(&world.vm, frame(1));
    let second = Missing::Second(guest(frame(1), 0), 0x30 - 20);
    assert_eq!(world.write(Layout::Native, true), Err(second));
    move_page(&world.vm, frame(0));
    assert_eq!(world.write(Layout::Native, true), Err(Missing::First));
    assert_eq!(world.take_written(offset), []);
}

/// The area moves, and its second page has not followed yet.
#[test]
fn the_second_page_of_another_area_is_not_written() {
    let world = World::new();
    world.put(PAGE_SIZE - 20);
    activate(&world.second, guest(frame(2), 0), 1).expect("there is a page");
    let missing = Missing::Second(guest(frame(1), 0), 0x2c - 20);
    assert_eq!(world.write(Layout::Compat, true), Err(missing));
    assert_eq!(world.take_written(0), []);
}

/// One that did not need a second page needs one when the guest becomes wider.
#[test]
fn the_width_decides_whether_there_is_a_second_page() {
    let world = World::new();
    let offset = PAGE_SIZE - 0x2c;
    activate(&world.first, guest(frame(0), offset), 0x2c).expect("there is a page");
    assert_eq!(world.write(Layout::Compat, true), Ok(()));
    let missing = Missing::Second(guest(frame(1), 0), 4);
    assert_eq!(world.write(Layout::Native, true), Err(missing));
}
