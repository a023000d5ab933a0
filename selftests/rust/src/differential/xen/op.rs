// SPDX-License-Identifier: GPL-2.0

//! Histories of Xen guests as data: what userspace, the host and the guest do, step by step.

use super::data::{port, Data, SENT, TIMES, WAITS, WHEN};
use super::places::{self, Place};
use crate::rng::Rng;
use kvmtest::memory::PAGE_4K;
use kvmtest::vm::BASE;
use kvmtest::xen::{Area, PENDING};
use kvmtest::xen_calls::{
    Call, CHANNEL, POLL, SCHED, SEND, SET_TIMER, STOP_TIMER, TIMER, VCPU, VERSION, YIELD,
};
use kvmtest::xen_guest::END;
use kvmtest::xen_layout::Layout;
use kvmtest::xen_ports::{Kind, Order, Said, Target};

/// No memory is there.
pub const UNMAPPED: u64 = 0xc000_0000;
/// Nanoseconds from one setting of the clock to the next possible one: no history takes so long.
const FAR: u64 = 100_000_000_000;
/// Nanoseconds that have passed for certain since the last call.
const PASSED: u64 = 20;
/// States that userspace may say. Not that the vCPU would run if it had a processor: then C leaves the guest's
/// copy out if its page is not there (docs/xen.md). One does not exist, the last leaves the state as it is.
const STATES: [u64; 5] = [0, 2, 3, 4, u64::MAX];

/// One step.
#[derive(Clone, Debug)]
pub enum Op {
    /// Userspace says how wide the guest is.
    Layout(Layout),
    /// It sends an event.
    Send(u32),
    /// An event of an interrupt, which is one of this channel.
    Interrupt(u32),
    /// Userspace says what becomes of what the guest sends through a channel.
    Port(Said),
    /// The timer's channel and time.
    Timer(u32, u64),
    /// What the guest is told of the version.
    Version(u32),
    /// The vCPU's number.
    Id(u32),
    /// Whether changes of the states are marked.
    Marks(bool),
    /// The clock is set, forward or back.
    Clock(u64),
    /// Userspace says what the states are, by an attribute of those.
    States(Claim, [u64; 6]),
    /// It says where something of the vCPU is.
    Place(Area, Place),
    /// The shared page is another one.
    Shared(bool),
    /// It asks for all that KVM keeps.
    Ask,
    /// The host takes pages away.
    Discard(Place),
    /// The slots with the guest's pages are there, or not.
    Slots(bool),
    /// Another slot comes and goes.
    OtherSlot,
    /// The guest writes to the bits of its channels.
    Bits(u64, u8),
    /// It takes all events.
    Clear,
    /// It calls, with this in its memory.
    Call(Call, Layout, u8, Data),
}

/// How userspace says what the states are.
#[derive(Clone, Copy, Debug)]
pub enum Claim {
    /// The state.
    Current,
    /// The state and all times.
    All,
    /// By how much times are longer.
    Adjust,
}

impl Op {
    /// Any.
    pub fn random(rng: &mut Rng) -> Self {
        match rng.within(0..40) {
            0 | 1 => Self::Layout(*one_of(rng, &Layout::ALL)),
            2..5 => Self::Send(port(rng)),
            5 | 6 => Self::Interrupt(port(rng)),
            7 | 8 => Self::Port(said(rng)),
            9 | 10 => Self::Timer(port(rng), *one_of(rng, &TIMES)),
            11 => Self::Version(*one_of(rng, &[0, 1, 0x4_0011])),
            12 => Self::Id(rng.within(0..2) as u32),
            13 => Self::Marks(rng.once_in(2)),
            14 => Self::Clock(FAR * rng.within(1..1000)),
            15 | 16 => Self::states(rng),
            17..20 => {
                let area = *one_of(rng, &[Area::Info, Area::Time, Area::Runstate]);
                Self::Place(area, places::any(rng, area))
            }
            20 => Self::Shared(rng.once_in(2)),
            21 => Self::Ask,
            22 | 23 => Self::Discard(places::page(rng)),
            24 => Self::Slots(!rng.once_in(3)),
            25 => Self::OtherSlot,
            26 | 27 => Self::Clear,
            28 | 29 => Self::Bits(rng.within(PENDING..PAGE_4K), rng.next() as u8),
            _ => Self::call(rng),
        }
    }

    fn states(rng: &mut Rng) -> Self {
        let claim = *one_of(rng, &[Claim::Current, Claim::All, Claim::Adjust]);
        let [first, second, third, fourth] = [(); 4].map(|()| rng.within(0..PASSED / 4));
        let sum = first + second + third + fourth + u64::from(rng.once_in(4));
        let state = *one_of(rng, &STATES);
        Self::States(claim, [state, sum, first, second, third, fourth])
    }

    fn call(rng: &mut Rng) -> Self {
        let any = rng.within(0..128);
        let number = *one_of(rng, &[CHANNEL, SCHED, VCPU, TIMER, VERSION.number, any]);
        let time = *one_of(rng, &TIMES);
        let what = *one_of(rng, &[SEND, POLL, YIELD, SET_TIMER, STOP_TIMER, time]);
        let mut call = Call::new(number, &[what]);
        for param in &mut call.params[1..] {
            *param = match rng.within(0..4) {
                0 => rng.within(0..2),
                1 => UNMAPPED,
                _ => BASE + described(rng),
            };
        }
        // Other times than these are over in the middle of a history.
        match number {
            TIMER => call = Call::new(TIMER, &[rng.within(0..2)]),
            VCPU if WAITS.contains(&call.params[2].wrapping_sub(BASE)) => {
                call.params[2] = BASE + WHEN
            }
            _ => {}
        }
        let width = *one_of(rng, &Layout::ALL);
        let privilege = if rng.once_in(8) { 3 } else { 0 };
        Self::Call(call.of_width(width), width, privilege, Data::any(rng))
    }

    /// The same with the first channel, or from the guest's kernel.
    pub fn simpler(&self) -> Vec<Self> {
        match self {
            Self::Send(2..) => vec![Self::Send(1)],
            Self::Interrupt(2..) => vec![Self::Interrupt(1)],
            Self::Timer(2.., time) => vec![Self::Timer(1, *time)],
            Self::Call(call, width, 3, data) => {
                vec![Self::Call(*call, *width, 0, data.clone())]
            }
            Self::Call(call, Layout::Native, privilege, data) => {
                let call = call.of_width(Layout::Compat);
                vec![Self::Call(call, Layout::Compat, *privilege, data.clone())]
            }
            _ => Vec::new(),
        }
    }
}

/// Where calls find what they are told, and where they do not.
fn described(rng: &mut Rng) -> u64 {
    let [narrow, wide] = WAITS;
    *one_of(rng, &[SENT, narrow, wide, WHEN, END - 12, END - 1, END])
}

fn one_of<'a, T>(rng: &mut Rng, all: &'a [T]) -> &'a T {
    &all[rng.within(0..all.len() as u64) as usize]
}

/// To a vCPU that is there, to one that is not, or to no eventfd.
fn said(rng: &mut Rng) -> Said {
    let orders = [Order::Assign, Order::Assign, Order::Update, Order::Deassign];
    let order = if rng.once_in(12) {
        Order::Reset
    } else {
        *one_of(rng, &orders)
    };
    let (port, other) = (port(rng), port(rng));
    let (kind, to) = match rng.within(0..4) {
        0 => (Kind::Interdomain, other),
        1 => (Kind::Ipi, other),
        _ => (Kind::Ipi, port),
    };
    let to = match rng.within(0..8) {
        0 => Target::EventFd(-1),
        number => Target::Port(to, (number == 1).into()),
    };
    Said::new(order, kind, port, to)
}
