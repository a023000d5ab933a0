// SPDX-License-Identifier: GPL-2.0

//! A guest of the two that takes its host for Xen.
//!
//! After each step the answers must be the same, and all of the guests' memory but for times. Of the times of the
//! vCPU's states it must be the same whether they are those that KVM has. What C and Rust do differently on purpose
//! (docs/xen.md) is left out.

mod data;
mod op;
mod places;
mod view;

use super::machine::{Answer, Machine};
use super::side::wrong;
use crate::rng::Rng;
use anyhow::{ensure, Context, Result};
use kvm_bindings::{
    kvm_clock_data, KVM_XEN_ATTR_TYPE_LONG_MODE, KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG,
    KVM_XEN_ATTR_TYPE_SHARED_INFO, KVM_XEN_ATTR_TYPE_XEN_VERSION,
    KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST,
    KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA,
    KVM_XEN_VCPU_ATTR_TYPE_TIMER, KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
    KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO,
};
use kvmtest::memory::{Backing, Memory, PAGE_4K};
use kvmtest::vm::{Slot, BASE, SLOT};
use kvmtest::xen::{self, Area, TIME};
use kvmtest::xen_attr::{Attribute, Words};
use kvmtest::xen_calls::{self, Call, SCHED, YIELD};
use kvmtest::xen_guest::XenGuest;
use kvmtest::xen_layout::Layout;
use op::{Claim, Op};
use places::{Place, Places, AREAS, SHARED_PAGES, SIZE};
use std::io::Error;
use std::ops::Range;

const TIMER: Attribute = vcpu(KVM_XEN_VCPU_ATTR_TYPE_TIMER);
const STATE: Attribute = vcpu(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT);
const STATES: Attribute = vcpu(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA);
const ADJUST: Attribute = vcpu(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST);
/// All that KVM keeps, but for times.
const KEPT: [Attribute; 9] = [
    vm(KVM_XEN_ATTR_TYPE_LONG_MODE),
    vm(KVM_XEN_ATTR_TYPE_SHARED_INFO),
    vm(KVM_XEN_ATTR_TYPE_XEN_VERSION),
    vm(KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG),
    vcpu(KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO),
    vcpu(KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO),
    vcpu(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR),
    vcpu(KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID),
    TIMER,
];
/// With the channel of a timer: events have no priorities.
const TWO_LEVELS: u64 = (u32::MAX as u64) << 32;
/// Bytes of the events of all channels, for guests of 64 bits.
const EVENTS: usize = 512;

const fn vm(type_: u32) -> Attribute {
    Attribute::Vm(type_ as u16)
}

const fn vcpu(type_: u32) -> Attribute {
    Attribute::Vcpu(type_ as u16)
}

/// A guest, and where its things are.
pub struct Side {
    guest: XenGuest,
    areas: Memory,
    places: Places,
    layout: Layout,
    /// The slots with the guest's pages are there.
    slots: bool,
    /// They were not, and the vCPU has not run since. Rust makes up for what could not be written meanwhile.
    behind: bool,
}

impl Machine for Side {
    type Setup = ();
    type Op = Op;

    fn setup(_: &mut Rng) {}

    fn op(rng: &mut Rng, first: bool) -> Op {
        if first {
            Op::Version(1)
        } else {
            Op::random(rng)
        }
    }

    fn simpler(op: &Op) -> Vec<Op> {
        op.simpler()
    }

    fn kind(op: &Op) -> String {
        let text = match op {
            Op::Place(area, _) => format!("{area:?}"),
            Op::States(claim, _) => format!("States {claim:?}"),
            other => format!("{other:?}"),
        };
        let name = &text[..text.find('(').unwrap_or(text.len())];
        format!("Xen {name}")
    }

    fn new(backend: &str, (): &()) -> Result<Self> {
        let guest = XenGuest::new(backend, Layout::Compat)?;
        xen::set_id(&guest.vcpu, 0)?;
        let side = Self {
            guest,
            areas: Memory::new(SIZE, Backing::Small)?,
            places: Places::new(),
            layout: Layout::Compat,
            slots: true,
            behind: false,
        };
        side.guest.vm.set(&side.areas_slot(), 0)?;
        Ok(side)
    }

    fn step(&mut self, op: &Op) -> Answer {
        self.try_step(op).map_err(|error| format!("{error:#}"))
    }

    fn differences(&self, other: &Self, names: [&str; 2]) -> Result<Vec<String>> {
        Ok(self.seen()?.differences(&other.seen()?, names))
    }

    fn at_the_end(sides: &[Self; 2], names: [&str; 2]) -> Result<Vec<String>> {
        let [one, two] = sides;
        let wrongs = [
            wrong(&one.guest.vm, names[0])?,
            wrong(&two.guest.vm, names[1])?,
        ];
        Ok(wrongs.concat())
    }
}

impl Side {
    fn areas_slot(&self) -> Slot {
        Slot {
            id: SLOT + 1,
            gpa: AREAS,
            ..Slot::of(&self.areas)
        }
    }

    fn try_step(&mut self, op: &Op) -> Result<String> {
        let XenGuest { vm, memory, .. } = &self.guest;
        match *op {
            Op::Layout(layout) => self.set_layout(layout)?,
            Op::Send(port) => xen::send(vm, port)?,
            Op::Interrupt(port) => {
                xen::route(vm, &[port])?;
                // Nobody is told whether the event was one: the line is only raised.
                vm.fd.set_irq_line(0, true)?;
            }
            Op::Port(said) => match said.say(&vm.fd) {
                0 => {}
                error => return Err(Error::from_raw_os_error(error).into()),
            },
            Op::Timer(port, time) => self.set(TIMER, &[u64::from(port) | TWO_LEVELS, time])?,
            Op::Version(version) => xen::set_version(vm, version)?,
            Op::Id(id) => xen::set_id(&self.guest.vcpu, id)?,
            Op::Marks(on) => self.set(KEPT[3], &[on.into()])?,
            Op::Clock(clock) => self.set_clock(clock)?,
            Op::States(claim, words) => self.claim(claim, &words)?,
            Op::Place(area, place) => self.place(area, place)?,
            Op::Shared(other) => self.share(SHARED_PAGES[usize::from(other)])?,
            Op::Ask => return Ok(format!("{:x?}", self.kept())),
            Op::Discard(page) => self.discard(page)?,
            Op::Slots(there) => self.set_slots(there)?,
            Op::OtherSlot => self.other_slot()?,
            Op::Bits(place, bits) => self.write(self.places.shared + place, &[bits]),
            Op::Clear => {
                self.write(self.places.info, &[0; TIME as usize]);
                self.write(self.places.shared + xen::PENDING, &[0; EVENTS]);
            }
            Op::Call(call, width, privilege, ref data) => {
                data.write(memory);
                return self.call(call, width, privilege);
            }
        }
        Ok("done".into())
    }

    fn set(&self, attribute: Attribute, given: &[u64]) -> Result<()> {
        let mut words: Words = [0; 8];
        words[..given.len()].copy_from_slice(given);
        match attribute.set(&self.guest.vm, &self.guest.vcpu, words) {
            0 => Ok(()),
            error => Err(Error::from_raw_os_error(error).into()),
        }
    }

    fn call(&mut self, call: Call, width: Layout, privilege: u8) -> Result<String> {
        self.behind &= !self.slots;
        let XenGuest { vcpu, caller, .. } = &mut self.guest;
        let answer = caller.call(vcpu, width, privilege, call)?;
        ensure!(
            !matches!(answer, xen_calls::Answer::Kernel(..0)),
            "{answer:x?}"
        );
        Ok(format!("{answer:x?}"))
    }

    /// C keeps words that it owes the vCPU and that a narrower guest does not have, so there must be none.
    fn set_layout(&mut self, layout: Layout) -> Result<()> {
        ensure!(
            self.slots,
            "left out: the vCPU cannot be told of its events"
        );
        self.call(Call::new(SCHED, &[YIELD]), Layout::Compat, 0)?;
        layout.set(&self.guest.vm)?;
        self.layout = layout;
        Ok(())
    }

    fn set_clock(&self, clock: u64) -> Result<()> {
        let clock = kvm_clock_data {
            clock,
            ..Default::default()
        };
        self.guest.vm.fd.set_clock(&clock).context("KVM_SET_CLOCK")
    }

    fn claim(&self, claim: Claim, words: &[u64]) -> Result<()> {
        match claim {
            Claim::Current => self.set(STATE, words),
            Claim::All => self.set(STATES, words),
            Claim::Adjust => self.set(ADJUST, words),
        }
    }

    /// The times that were there become zero, as they differ.
    fn place(&mut self, area: Area, place: Place) -> Result<()> {
        ensure!(self.slots, "left out: nothing can be placed");
        if let Some(old) = self.places.of(area) {
            self.clear(&old);
        }
        match xen::set_area(&self.guest.vcpu, area, place) {
            Ok(()) => self.places.set(area, place),
            Err(error) => {
                // States that cannot be placed are nowhere.
                if area == Area::Runstate {
                    self.places.set(area, None);
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    fn share(&mut self, page: u64) -> Result<()> {
        ensure!(self.slots, "left out: nothing can be placed");
        for old in self.places.wall_clocks() {
            self.clear(&old);
        }
        xen::set_shared_page(&self.guest.vm, page)?;
        self.places.shared = page;
        Ok(())
    }

    fn discard(&self, page: Place) -> Result<()> {
        let page = page.context("there is always one")?;
        let (memory, offset) = self.at(page);
        memory.discard(offset..offset + PAGE_4K)
    }

    fn set_slots(&mut self, there: bool) -> Result<()> {
        ensure!(self.slots != there, "left out: they are so already");
        for slot in [Slot::of(&self.guest.memory), self.areas_slot()] {
            let size = if there { slot.size } else { 0 };
            self.guest.vm.set(&Slot { size, ..slot }, 0)?;
        }
        self.slots = there;
        self.behind = true;
        Ok(())
    }

    fn other_slot(&self) -> Result<()> {
        let slot = Slot {
            id: SLOT + 2,
            gpa: 2 * BASE,
            ..Slot::of(&self.areas)
        };
        self.guest.vm.set(&slot, 0)?;
        self.guest.vm.delete(&slot)
    }

    fn kept(&self) -> Vec<(i32, Words)> {
        let get = |attribute: Attribute| attribute.get(&self.guest.vm, &self.guest.vcpu);
        KEPT.map(get).to_vec()
    }

    /// Where an address of the guest's is in the host's memory.
    fn at(&self, gpa: u64) -> (&Memory, u64) {
        match gpa.checked_sub(AREAS) {
            Some(offset) => (&self.areas, offset),
            None => (&self.guest.memory, gpa - BASE),
        }
    }

    fn write(&self, gpa: u64, bytes: &[u8]) {
        let (memory, offset) = self.at(gpa);
        memory.write(offset, bytes);
    }

    fn clear(&self, range: &Range<u64>) {
        self.write(range.start, &vec![0; (range.end - range.start) as usize]);
    }
}
