// SPDX-License-Identifier: GPL-2.0

//! A Xen guest that waits for events of some channels: what it must not ask for, and what ends the wait.

use super::test;
use crate::harness::Test;
use anyhow::{bail, ensure, Context, Result};
use kvmtest::interrupt::Thread;
use kvmtest::memory::Memory;
use kvmtest::vm::{Vm, BASE};
use kvmtest::xen;
use kvmtest::xen_calls::{Answer, Call, POLL, SCHED};
use kvmtest::xen_guest::{XenGuest, DATA, END, SHARED};
use kvmtest::xen_layout::Layout;
use std::sync::mpsc::channel;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    test("xen_poll_refused", refused),
    test("xen_poll_ports", ports),
    test("xen_poll_ends", ends),
];

/// Where the guest says what it waits for, and the numbers of the channels.
const ASKED: u64 = BASE + DATA;
const PORTS: u64 = ASKED + 64;
/// More channels than this are refused.
const MOST: usize = 128;
/// No memory is mapped there by the guest, and none is there.
const UNMAPPED: u64 = 0xc000_0000;
/// A channel without an event.
pub const PORT: u32 = 9;
/// Nanoseconds that nobody waits for.
pub const LONG: u64 = 5_000_000_000;
const SHORT: u64 = 200_000_000;
/// A timer may be over a tick earlier, and a slow machine takes its time.
const EARLY: Duration = Duration::from_millis(150);
const LATE: Duration = Duration::from_secs(4);
/// By then the guest waits.
const UNTIL_IT_WAITS: Duration = Duration::from_millis(100);

/// What a guest asks for.
#[derive(Clone, Copy)]
struct Poll {
    /// Where the ports are.
    ports: u64,
    count: u32,
    nanoseconds: u64,
}

impl Poll {
    /// Writes it as a program of this width does. Gives the call.
    fn write(self, memory: &Memory, width: Layout) -> Call {
        let pointer = self.ports.to_le_bytes();
        let (count, time) = (self.count.to_le_bytes(), self.nanoseconds.to_le_bytes());
        let words = match width {
            Layout::Compat => [&pointer[..4], &count, &time].concat(),
            Layout::Native => [&pointer[..], &count, &[0; 4], &time].concat(),
        };
        memory.write(DATA, &words);
        Call::new(SCHED, &[POLL, ASKED])
    }
}

/// To wait for these channels, for so long.
fn wait_for(memory: &Memory, width: Layout, ports: &[u32], nanoseconds: u64) -> Call {
    let bytes: Vec<u8> = ports.iter().flat_map(|port| port.to_le_bytes()).collect();
    memory.write(DATA + PORTS - ASKED, &bytes);
    let asked = Poll {
        ports: PORTS,
        count: ports.len() as u32,
        nanoseconds,
    };
    asked.write(memory, width)
}

/// Does so.
fn poll(guest: &mut XenGuest, width: Layout, ports: &[u32], nanoseconds: u64) -> Result<i32> {
    let call = wait_for(&guest.memory, width, ports, nanoseconds);
    answer(guest, width, call)
}

fn answer(guest: &mut XenGuest, width: Layout, call: Call) -> Result<i32> {
    result(guest.caller.call(&mut guest.vcpu, width, 0, call)?)
}

fn result(answer: Answer) -> Result<i32> {
    match answer {
        Answer::Kernel(result) => Ok(result),
        other => bail!("{other:x?}"),
    }
}

fn is(result: i32, wanted: i32) -> Result<()> {
    ensure!(
        result == wanted,
        "the answer is {result} instead of {wanted}"
    );
    Ok(())
}

/// A guest that waits, in a thread of its own.
pub struct Waiting<'a> {
    /// Its VM.
    pub vm: &'a Vm,
    /// The thread.
    pub thread: Thread,
    ended: &'a dyn Fn() -> bool,
}

impl Waiting<'_> {
    /// Whether it waits no more.
    pub fn has_ended(&self) -> bool {
        (self.ended)()
    }
}

/// Runs `host` while the guest waits for these channels, and then until the wait is over, which must be soon.
pub fn while_it_waits<T>(
    guest: &mut XenGuest,
    width: Layout,
    ports: &[u32],
    nanoseconds: u64,
    host: impl FnOnce(&Waiting<'_>) -> Result<T>,
) -> Result<T> {
    let call = wait_for(&guest.memory, width, ports, nanoseconds);
    let XenGuest {
        vm, vcpu, caller, ..
    } = guest;
    let (tell, told) = channel();
    thread::scope(|scope| {
        let waits = scope.spawn(move || {
            tell.send(Thread::this()?)?;
            caller.call(vcpu, width, 0, call)
        });
        let ended = || waits.is_finished();
        let thread = told.recv().context("it does not wait")?;
        sleep(UNTIL_IT_WAITS);
        let waiting = Waiting {
            vm,
            thread,
            ended: &ended,
        };
        let done = host(&waiting);
        let in_time = ends_soon(&waiting);
        is(result(waits.join().expect("no panics here")?)?, 0)?;
        in_time?;
        done
    })
}

/// What nobody has ended so far is ended by a signal.
fn ends_soon(waiting: &Waiting<'_>) -> Result<()> {
    let begin = Instant::now();
    while !waiting.has_ended() {
        if begin.elapsed() > LATE {
            waiting.thread.interrupt()?;
            bail!("nothing ends the wait");
        }
        sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Events of that channel are not to be delivered, or are.
pub fn mask(memory: &Memory, layout: Layout, port: u32, masked: bool) {
    let byte = layout.masks().start + u64::from(port / 8);
    memory.write(SHARED + byte, &[u8::from(masked) << (port % 8)]);
}

/// Channels that there are not, too many of them, and pointers to where no memory is.
fn refused(backend: &str) -> Result<()> {
    for layout in Layout::ALL {
        let mut guest = XenGuest::new(backend, layout)?;
        for width in Layout::ALL {
            bad_ports(&mut guest, width, layout.ports())?;
            bad_counts(&mut guest, width)?;
            bad_pointers(&mut guest, width)?;
        }
    }
    Ok(())
}

/// Each of the channels counts. The wait would be over at once.
fn bad_ports(guest: &mut XenGuest, width: Layout, limit: u32) -> Result<()> {
    for port in [limit, limit + 1, 1 << 31, u32::MAX] {
        is(poll(guest, width, &[port], LONG)?, -libc::EINVAL)
            .with_context(|| format!("channel {port}"))?;
    }
    for index in 0..MOST {
        let mut ports = [limit - 1; MOST];
        ports[index] = limit;
        is(poll(guest, width, &ports, LONG)?, -libc::EINVAL)
            .with_context(|| format!("channel {limit} as number {index}"))?;
    }
    Ok(())
}

/// All of the channels exist.
fn bad_counts(guest: &mut XenGuest, width: Layout) -> Result<()> {
    let ports = [0; 4 * (MOST + 1)];
    guest.memory.write(DATA + PORTS - ASKED, &ports);
    for count in [MOST as u32 + 1, 1 << 30, 1 << 31, u32::MAX] {
        let asked = Poll {
            ports: PORTS,
            count,
            nanoseconds: LONG,
        };
        let call = asked.write(&guest.memory, width);
        is(answer(guest, width, call)?, -libc::EINVAL)
            .with_context(|| format!("{count} channels"))?;
    }
    // The kernel has room for few, or for all.
    for count in [1, 4, 5, 127, MOST] {
        let mut ports = vec![PORT; count];
        is(poll(guest, width, &ports, 1)?, 0).with_context(|| format!("{count} channels"))?;
        ports[count - 1] = u32::MAX;
        is(poll(guest, width, &ports, LONG)?, -libc::EINVAL)
            .with_context(|| format!("{count} channels, of which the last is none"))?;
    }
    is(poll(guest, width, &[], 1)?, 0).context("no channel")
}

/// One byte too far is too far. The ports may be anywhere if there are none.
fn bad_pointers(guest: &mut XenGuest, width: Layout) -> Result<()> {
    let end = BASE + END;
    for pointer in [end - 1, end, UNMAPPED] {
        let call = Call::new(SCHED, &[POLL, pointer]);
        is(answer(guest, width, call)?, -libc::EFAULT).with_context(|| format!("{pointer:#x}"))?;
    }
    for (ports, count, wanted) in [
        (end - 4, 1, 0),
        (end - 3, 1, -libc::EFAULT),
        (end - 4, 2, -libc::EFAULT),
        (UNMAPPED, 1, -libc::EFAULT),
        (UNMAPPED, 0, 0),
    ] {
        let asked = Poll {
            ports,
            count,
            nanoseconds: 1,
        };
        let call = asked.write(&guest.memory, width);
        is(answer(guest, width, call)?, wanted)
            .with_context(|| format!("{count} channels at {ports:#x}"))?;
    }
    Ok(())
}

/// Each channel has its own event, which ends the wait for it and for no other.
fn ports(backend: &str) -> Result<()> {
    for layout in Layout::ALL {
        let mut guest = XenGuest::new(backend, layout)?;
        for port in 0..layout.ports() {
            let byte = SHARED + layout.pending().start + u64::from(port / 8);
            guest.memory.write(byte, &[1 << (port % 8)]);
            let begin = Instant::now();
            is(poll(&mut guest, layout, &[port], LONG)?, 0)?;
            ensure!(begin.elapsed() < LATE, "channel {port} has an event");
            guest.memory.write(byte, &[0]);
        }
        let mut others = vec![u8::MAX; layout.ports() as usize / 8];
        others[PORT as usize / 8] &= !(1 << (PORT % 8));
        guest.memory.write(SHARED + layout.pending().start, &others);
        let begin = Instant::now();
        is(poll(&mut guest, layout, &[PORT], SHORT)?, 0)?;
        ensure!(begin.elapsed() >= EARLY, "channel {PORT} has no event");
    }
    Ok(())
}

/// Time ends a wait, and so does an event, masked or not.
fn ends(backend: &str) -> Result<()> {
    for layout in Layout::ALL {
        let mut guest = XenGuest::new(backend, layout)?;
        let begin = Instant::now();
        is(poll(&mut guest, layout, &[PORT, 3], SHORT)?, 0)?;
        ensure!(
            (EARLY..LATE).contains(&begin.elapsed()),
            "a wait of {SHORT} ns took {:?}",
            begin.elapsed()
        );
        for masked in [false, true] {
            for ports in [&[PORT][..], &[3, PORT, 4]] {
                ends_by_event(backend, layout, ports, masked)
                    .with_context(|| format!("{layout:?}, {ports:?}, masked: {masked}"))?;
            }
        }
    }
    Ok(())
}

fn ends_by_event(backend: &str, layout: Layout, ports: &[u32], masked: bool) -> Result<()> {
    let mut guest = XenGuest::new(backend, layout)?;
    mask(&guest.memory, layout, PORT, masked);
    let begin = Instant::now();
    while_it_waits(&mut guest, layout, ports, LONG, |waiting| {
        xen::send(waiting.vm, PORT).context("sending an event")
    })?;
    ensure!(begin.elapsed() < LATE, "the event did not end the wait");
    Ok(())
}
