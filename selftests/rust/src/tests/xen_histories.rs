// SPDX-License-Identifier: GPL-2.0

//! Random histories of two Xen guests, one on C and one on Rust: what userspace and the guest do to event
//! channels, timers and widths, in any order. Each step must have the same answer on both, and leave the
//! same in the guests' pages.

use super::mixed;
use crate::clock::repeat;
use crate::harness::Test;
use crate::rng::Rng;
use anyhow::{bail, ensure, Context, Result};
use kvm_bindings::KVM_XEN_VCPU_ATTR_TYPE_TIMER;
use kvmtest::backend::{C, RUST};
use kvmtest::memory::PAGE_4K;
use kvmtest::vm::BASE;
use kvmtest::xen::{self, PENDING, TIME};
use kvmtest::xen_attr::Attribute;
use kvmtest::xen_calls::{
    Answer, Call, CHANNEL, POLL, SCHED, SEND, SET_TIMER, STOP_TIMER, TIMER, VCPU, VERSION, YIELD,
};
use kvmtest::xen_guest::{XenGuest, DATA, END, INFO, SHARED};
use kvmtest::xen_layout::Layout;
use std::io::Error;
use std::ops::Range;

pub const TESTS: &[Test] = &[mixed("xen_histories", histories)];

const SEED: u64 = 43;
const MILLIS: u64 = 8_000;
/// Histories, and steps in each.
const HISTORIES: u32 = 8;
const STEPS: u32 = 300;
/// Bytes that have the events of all channels, of 64 bits.
const EVENTS: usize = 512;
/// What the kernel writes there is the time: for guests of 32 and of 64 bits.
const WALL_CLOCKS: [Range<usize>; 3] = [0x900..0x90c, 0x924..0x928, 0xc00..0xc10];
/// Where the guest has a channel to send to, what it waits for in either width, their channels, and a time.
const SENT: u64 = DATA;
const WAITS: [u64; 2] = [DATA + 64, DATA + 128];
const PORTS: u64 = DATA + 192;
const WHEN: u64 = DATA + 256;
const TIMER_ATTRIBUTE: Attribute = Attribute::Vcpu(KVM_XEN_VCPU_ATTR_TYPE_TIMER as u16);
/// In there, with the channel: events have no priorities.
const TWO_LEVELS: u64 = (u32::MAX as u64) << 32;
/// Where no memory is.
const UNMAPPED: u64 = 0xc000_0000;
/// Times that are over at once, or not in this test.
const TIMES: [u64; 4] = [0, 1, 1 << 62, u64::MAX];

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    /// Userspace says how wide the guest is.
    Layout(Layout),
    /// It sends an event.
    Send(u32),
    /// An event of this interrupt, which is one of this channel.
    Interrupt(u32),
    /// What the guest sends through a channel becomes an event.
    Assign(u32),
    /// The timer's channel and time.
    Timer(u32, u64),
    /// The guest writes to the bits of its channels.
    Bits(u64, u8),
    /// It takes all events.
    Clear,
    /// It calls, with this in its memory.
    Call(Call, Layout, u8, Data),
}

/// What calls read.
#[derive(Clone, Debug)]
struct Data {
    port: u32,
    count: u32,
    ports: [u32; 2],
    time: u64,
}

/// What a step gives.
#[derive(Debug, PartialEq)]
enum Seen {
    Error(i32),
    Answer(Answer),
}

impl Step {
    fn any(rng: &mut Rng) -> Self {
        match rng.within(0..18) {
            0 => Self::Layout(Layout::ALL[rng.within(0..2) as usize]),
            1..=2 => Self::Send(port(rng)),
            3 => Self::Interrupt(port(rng)),
            4 => Self::Assign(port(rng)),
            5 => Self::Timer(port(rng), TIMES[rng.within(0..4) as usize]),
            6..=7 => Self::Clear,
            8..=9 => Self::Bits(rng.within(PENDING..PAGE_4K), rng.next() as u8),
            _ => Self::call(rng),
        }
    }

    fn call(rng: &mut Rng) -> Self {
        let number = [
            CHANNEL,
            SCHED,
            VCPU,
            TIMER,
            VERSION.number,
            rng.within(0..128),
        ];
        let number = number[rng.within(0..6) as usize];
        let what = [
            SEND,
            POLL,
            YIELD,
            SET_TIMER,
            STOP_TIMER,
            TIMES[rng.within(0..4) as usize],
        ];
        let mut call = Call::new(number, &[what[rng.within(0..6) as usize]]);
        for param in &mut call.params[1..] {
            *param = match rng.within(0..4) {
                0 => rng.within(0..2),
                1 => UNMAPPED,
                _ => BASE + place(rng),
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
        let width = Layout::ALL[rng.within(0..2) as usize];
        let privilege = if rng.once_in(8) { 3 } else { 0 };
        Self::Call(call.of_width(width), width, privilege, Data::any(rng))
    }

    fn take(&self, guest: &mut XenGuest) -> Result<Seen> {
        let error = match *self {
            Self::Layout(layout) => layout.set(&guest.vm).map(|()| 0)?,
            Self::Send(port) => errno(xen::send(&guest.vm, port)),
            Self::Interrupt(port) => {
                xen::route(&guest.vm, &[port])?;
                // Nobody is told whether the event was one: the line is only raised.
                guest
                    .vm
                    .fd
                    .set_irq_line(0, true)
                    .map_or_else(|e| e.errno(), |()| 0)
            }
            Self::Assign(port) => errno(xen::assign(&guest.vm, port)),
            Self::Timer(port, time) => {
                let mut words = [0; 8];
                words[..2].copy_from_slice(&[u64::from(port) | TWO_LEVELS, time]);
                TIMER_ATTRIBUTE.set(&guest.vm, &guest.vcpu, words)
            }
            Self::Bits(place, bits) => {
                guest.memory.write(SHARED + place, &[bits]);
                0
            }
            Self::Clear => {
                guest.memory.write(INFO, &[0; TIME as usize]);
                guest.memory.write(SHARED + PENDING, &[0; EVENTS]);
                0
            }
            Self::Call(call, width, privilege, ref data) => {
                data.write(guest);
                let vcpu = &mut guest.vcpu;
                let answer = guest.caller.call(vcpu, width, privilege, call)?;
                return Ok(Seen::Answer(answer));
            }
        };
        Ok(Seen::Error(error))
    }
}

impl Data {
    fn any(rng: &mut Rng) -> Self {
        Self {
            port: port(rng),
            count: [1, 2, 3, 128, 129][rng.within(0..5) as usize],
            ports: [port(rng), port(rng)],
            time: TIMES[rng.within(0..4) as usize],
        }
    }

    /// All around is a time-out of a nanosecond and no channel, in either width. Where one width has a number
    /// of channels, the other may have its time-out. So that is not zero, and no call waits for long.
    fn write(&self, guest: &XenGuest) {
        let memory = &guest.memory;
        for place in (DATA..END).step_by(8) {
            memory.write(place, &1u64.to_le_bytes());
        }
        memory.store(SENT, self.port);
        let [narrow, wide] = WAITS;
        memory.store(narrow, (BASE + PORTS) as u32);
        memory.store(narrow + 4, self.count);
        memory.store(wide, (BASE + PORTS) as u32);
        memory.store(wide + 8, self.count);
        for (index, &port) in self.ports.iter().enumerate() {
            memory.store(PORTS + 4 * index as u64, port);
        }
        memory.write(WHEN, &self.time.to_le_bytes());
    }
}

/// A channel near a limit, or any.
fn port(rng: &mut Rng) -> u32 {
    let near = [0, 1, 31, 32, 63, 64, 1023, 1024, 4095, 4096, u32::MAX];
    match near.get(rng.within(0..22) as usize) {
        Some(&port) => port,
        None => rng.within(0..4096) as u32,
    }
}

fn place(rng: &mut Rng) -> u64 {
    [SENT, WAITS[0], WAITS[1], WHEN, END - 12, END - 1, END][rng.within(0..7) as usize]
}

fn errno(result: Result<(), Error>) -> i32 {
    result.map_or_else(|error| error.raw_os_error().unwrap_or(0), |()| 0)
}

/// Several, as an event that has come keeps others from coming.
fn histories(_: &str) -> Result<()> {
    let mut rng = Rng::new(SEED);
    repeat(MILLIS, HISTORIES, |_| {
        let mut guests = [guest(C)?, guest(RUST)?];
        for number in 0..STEPS {
            let step = Step::any(&mut rng);
            take(&step, &mut guests).with_context(|| format!("step {number}, {step:x?}"))?;
        }
        Ok(())
    })
}

fn guest(backend: &str) -> Result<XenGuest> {
    let guest = XenGuest::new(backend, Layout::Compat)?;
    xen::set_id(&guest.vcpu, 0)?;
    xen::set_version(&guest.vm, 1)?;
    Ok(guest)
}

fn take(step: &Step, guests: &mut [XenGuest; 2]) -> Result<()> {
    let [c, rust] = guests;
    let (on_c, on_rust) = (step.take(c)?, step.take(rust)?);
    ensure!(on_c == on_rust, "{on_c:x?} on C, {on_rust:x?} on Rust");
    let (on_c, on_rust) = (pages(c), pages(rust));
    let mut both = on_c.iter().zip(&on_rust).enumerate();
    if let Some((place, (c, rust))) = both.find(|(_, (c, rust))| c != rust) {
        bail!("the byte at {place:#x} is {c:#x} on C, {rust:#x} on Rust");
    }
    Ok(())
}

/// The shared page and the vCPU's, but for the time.
fn pages(guest: &XenGuest) -> Vec<u8> {
    let mut pages = guest.memory.read();
    pages.truncate((INFO + TIME) as usize);
    for clock in WALL_CLOCKS {
        pages[clock].fill(0);
    }
    pages
}
