// SPDX-License-Identifier: GPL-2.0

//! The timer of a Xen guest's vCPU while things happen at the same time: it goes off, it is set, the page goes that
//! its event is for.

use super::test;
use crate::clock::{repeat, wait_for};
use crate::harness::Test;
use crate::rng::Rng;
use anyhow::{ensure, Context, Result};
use kvmtest::beside::beside;
use kvmtest::memory::{Backing, Memory, PAGE_4K};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Vm, BASE};
use kvmtest::xen;
use kvmtest::xen_calls::{Answer, Call, Caller, SCHED, SET_TIMER, STOP_TIMER, TIMER, VCPU, YIELD};
use kvmtest::xen_guest::{XenGuest, DATA, INFO, SHARED};
use kvmtest::xen_layout::Layout;
use std::os::fd::AsRawFd;
use std::sync::Mutex;
use std::thread::sleep;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    test("xen_timer_pages", pages),
    test("xen_timer_two_threads", two_threads),
];

const SEED: u64 = 24;
const PORT: u32 = 9;
/// How long it goes on, and how often at least.
const MILLIS: u64 = 2_000;
const ROUNDS: u32 = 100;
/// Nanoseconds until the timer goes off, at most.
const SOON: u64 = 1_000_000;
/// What was stopped would have gone off by then.
const ENOUGH: Duration = Duration::from_millis(5);
/// Time for who needs a page to get it.
const PAUSE: Duration = Duration::from_micros(100);
/// Calls of the guest's without a stop.
const CALLS: u32 = 200;

/// A guest whose pages keep their content when they go.
struct Guest {
    vm: Vm,
    vcpu: Vcpu,
    caller: Caller,
    memory: Memory,
    layout: Layout,
}

impl Guest {
    fn new(backend: &str, layout: Layout) -> Result<Self> {
        let XenGuest {
            vm,
            vcpu,
            caller,
            memory,
        } = XenGuest::backed(backend, layout, Backing::File)?;
        xen::set_id(&vcpu, 0)?;
        xen::set_timer(&vcpu, PORT, 0)?;
        Ok(Self {
            vm,
            vcpu,
            caller,
            memory,
            layout,
        })
    }
}

/// The guest's time, so many nanoseconds from now.
fn after(vm: &Vm, nanoseconds: u64) -> Result<u64> {
    let now = vm.fd.get_clock().context("KVM_GET_CLOCK")?.clock;
    Ok(now + nanoseconds)
}

fn event(layout: Layout) -> (u64, u8) {
    let byte = layout.pending().start + u64::from(PORT / 8);
    (SHARED + byte, 1 << (PORT % 8))
}

fn has_event(memory: &Memory, layout: Layout) -> bool {
    let (byte, bit) = event(layout);
    memory.read()[byte as usize] & bit != 0
}

/// The guest takes it.
fn take_event(memory: &Memory, layout: Layout) {
    memory.write(event(layout).0, &[0]);
    memory.write(INFO, &[0; xen::TIME as usize]);
}

/// Each setting has one event, and each that is stopped in time has none, though the page goes and comes.
fn pages(backend: &str) -> Result<()> {
    for layout in Layout::ALL {
        let mut guest = Guest::new(backend, layout)?;
        let memory = &guest.memory;
        let take = || {
            sleep(PAUSE);
            memory.discard(SHARED..SHARED + PAGE_4K)
        };
        let mut setter = Setter {
            vm: &guest.vm,
            vcpu: &mut guest.vcpu,
            caller: &guest.caller,
            memory,
            layout,
        };
        let mut rng = Rng::new(SEED);
        beside(1, take, || {
            repeat(MILLIS, ROUNDS, |round| {
                let way = rng.within(0..3);
                setter
                    .has_one_event(way, rng.within(0..SOON))
                    .and_then(|()| setter.has_none(way, rng.within(0..SOON)))
                    .with_context(|| format!("{layout:?}, way {way}, round {round}"))
            })
        })?;
    }
    Ok(())
}

/// Sets a timer, by an attribute or by calls.
struct Setter<'a> {
    vm: &'a Vm,
    vcpu: &'a mut Vcpu,
    caller: &'a Caller,
    memory: &'a Memory,
    layout: Layout,
}

impl Setter<'_> {
    fn has_one_event(&mut self, way: u64, left: u64) -> Result<()> {
        self.set(way, left)?;
        wait_for("the timer's event", || {
            let has_come = has_event(self.memory, self.layout);
            if !has_come {
                // The vCPU may have to send what the interrupt could not.
                self.call(Call::new(SCHED, &[YIELD]))?;
            }
            Ok(has_come)
        })?;
        take_event(self.memory, self.layout);
        self.is_over()
    }

    /// Of a timer that may go off while it is stopped, but not afterwards.
    fn has_none(&mut self, way: u64, left: u64) -> Result<()> {
        self.set(way, left)?;
        match way {
            0 => xen::set_timer(self.vcpu, PORT, 0)?,
            1 => self.call(Call::new(VCPU, &[STOP_TIMER, 0]))?,
            _ => self.call(Call::new(TIMER, &[0]))?,
        }
        take_event(self.memory, self.layout);
        self.is_over()
    }

    /// There is no event, nor will there be one.
    fn is_over(&mut self) -> Result<()> {
        sleep(ENOUGH);
        self.call(Call::new(SCHED, &[YIELD]))?;
        ensure!(
            !has_event(self.memory, self.layout),
            "an event of a timer that is stopped"
        );
        let due = xen::timer(self.vcpu)?;
        ensure!(due == 0, "a timer that is stopped is due at {due}");
        Ok(())
    }

    fn set(&mut self, way: u64, left: u64) -> Result<()> {
        let time = after(self.vm, left)?;
        match way {
            0 => xen::set_timer(self.vcpu, PORT, time),
            1 => {
                self.memory.write(DATA, &time.to_le_bytes());
                self.call(Call::new(VCPU, &[SET_TIMER, 0, BASE + DATA]))
            }
            _ => self.call(Call::new(TIMER, &[time & u64::from(u32::MAX), time >> 32])),
        }
    }

    fn call(&mut self, call: Call) -> Result<()> {
        let answer = self.caller.ask(self.vcpu, call)?;
        ensure!(answer == Answer::Kernel(0), "{answer:x?}");
        Ok(())
    }
}

/// The guest sets it again and again while it runs, and another thread does so by the attribute, and stops it. What
/// is stopped in the end is stopped, and what is set then has its event.
fn two_threads(backend: &str) -> Result<()> {
    for layout in Layout::ALL {
        let mut guest = Guest::new(backend, layout)?;
        let events = race(&mut guest).with_context(|| format!("{layout:?}"))?;
        println!("# {layout:?}: {events} events were seen");
        ensure!(events > 0, "{layout:?}: the timer never went off");
        let mut setter = Setter {
            vm: &guest.vm,
            vcpu: &mut guest.vcpu,
            caller: &guest.caller,
            memory: &guest.memory,
            layout,
        };
        setter.has_none(1, SOON)?;
        setter.has_one_event(1, SOON)?;
    }
    Ok(())
}

/// Gives how often the other thread has found an event.
fn race(guest: &mut Guest) -> Result<u64> {
    let (vm, memory, layout) = (&guest.vm, &guest.memory, guest.layout);
    let (fd, caller) = (guest.vcpu.as_raw_fd(), &guest.caller);
    let vcpu = Mutex::new(&mut guest.vcpu);
    memory.write(DATA, &after(vm, SOON)?.to_le_bytes());
    let set = || {
        let mut vcpu = vcpu.lock().expect("no panics here");
        let call = Call::new(VCPU, &[SET_TIMER, 0, BASE + DATA]);
        let answer = caller.repeat(&mut vcpu, call, CALLS)?;
        ensure!(answer == 0, "the answer is {answer}");
        Ok(())
    };
    let (mut rng, mut events) = (Rng::new(SEED), 0);
    beside(1, set, || {
        repeat(MILLIS, ROUNDS, |_| {
            let soon = after(vm, rng.within(0..SOON))?;
            memory.write(DATA, &soon.to_le_bytes());
            match rng.within(0..3) {
                0 => xen::set_timer(&fd, PORT, soon)?,
                1 => xen::set_timer(&fd, PORT, 0)?,
                _ => sleep(PAUSE),
            }
            if has_event(memory, layout) {
                take_event(memory, layout);
                events += 1;
            }
            Ok(())
        })
    })?;
    Ok(events)
}
