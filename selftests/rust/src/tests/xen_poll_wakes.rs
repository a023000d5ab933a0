// SPDX-License-Identifier: GPL-2.0

//! A Xen guest that waits for events without an end of its own: who wakes it, and whom it must not hold up.

use super::xen_poll::{mask, while_it_waits, Waiting, LONG, PORT};
use super::{reported, shown, test};
use crate::harness::Test;
use anyhow::{ensure, Context, Result};
use kvmtest::memory::{Backing, Memory, PAGE_4K};
use kvmtest::vm::{Slot, BASE, SLOT};
use kvmtest::xen;
use kvmtest::xen_guest::XenGuest;
use kvmtest::xen_layout::Layout;
use std::time::{Duration, Instant};
use vmm_sys_util::eventfd::EventFd;

pub const TESTS: &[Test] = &[
    test("xen_poll_endless", endless),
    test("xen_poll_interrupted", interrupted),
    shown(reported("10-poll-holds-slots", "xen_poll_slots", slots)),
];

/// A wait without a time-out.
const FOR_EVER: u64 = 0;
/// Nanoseconds until the timer's event: the guest waits by then.
const SOON: u64 = 200_000_000;
/// How often slots are changed while a guest waits.
const CHANGES: usize = 5;
/// The quickest change may take so long. It takes a few milliseconds.
const CHANGE: Duration = Duration::from_millis(200);

/// Who wakes the guest.
#[derive(Clone, Copy, Debug)]
enum Source {
    Host,
    Interrupt,
    Timer,
}

/// Each event ends a wait that has no end, masked or not.
fn endless(backend: &str) -> Result<()> {
    for layout in Layout::ALL {
        for source in [Source::Host, Source::Interrupt, Source::Timer] {
            for masked in [false, true] {
                is_woken(backend, layout, source, PORT, masked)
                    .with_context(|| format!("{layout:?}, {source:?}, masked: {masked}"))?;
            }
        }
        // Xen has no such channel, but an interrupt may be one.
        is_woken(backend, layout, Source::Interrupt, 0, true)
            .with_context(|| format!("{layout:?}, channel 0"))?;
    }
    Ok(())
}

fn is_woken(backend: &str, layout: Layout, source: Source, port: u32, masked: bool) -> Result<()> {
    let mut guest = XenGuest::new(backend, layout)?;
    mask(&guest.memory, layout, port, masked);
    let interrupt = EventFd::new(libc::EFD_NONBLOCK).context("eventfd")?;
    let wired = guest.vm.fd.register_irqfd(&interrupt, 0);
    wired.context("KVM_IRQFD")?;
    xen::route(&guest.vm, &[port])?;
    if let Source::Timer = source {
        let now = guest.vm.fd.get_clock().context("KVM_GET_CLOCK")?.clock;
        xen::set_timer(&guest.vcpu, port, now + SOON)?;
    }
    while_it_waits(&mut guest, layout, &[port], FOR_EVER, |waiting| {
        // The timer may be quicker than the look.
        let quick = matches!(source, Source::Timer);
        ensure!(
            quick || !waiting.has_ended(),
            "the wait has ended by itself"
        );
        match source {
            Source::Host => xen::send(waiting.vm, port)?,
            Source::Interrupt => interrupt.write(1)?,
            Source::Timer => {}
        }
        Ok(())
    })
}

/// A signal ends a wait. The guest gets its answer when it is entered again, and may wait anew.
fn interrupted(backend: &str) -> Result<()> {
    for layout in Layout::ALL {
        let mut guest = XenGuest::new(backend, layout)?;
        mask(&guest.memory, layout, PORT, true);
        for nanoseconds in [FOR_EVER, LONG] {
            let before = guest.vcpu.stats.get("signal_exits")?;
            let ended = while_it_waits(&mut guest, layout, &[PORT], nanoseconds, |waiting| {
                let ended = waiting.has_ended();
                if !ended {
                    waiting.thread.interrupt()?;
                }
                Ok(ended)
            });
            ensure!(!ended?, "{layout:?}: the wait has ended by itself");
            let exits = guest.vcpu.stats.get("signal_exits")? - before;
            ensure!(exits > 0, "{layout:?}: no signal has ended it");
        }
        while_it_waits(&mut guest, layout, &[PORT], FOR_EVER, |waiting| {
            xen::send(waiting.vm, PORT).context("sending an event")
        })?;
    }
    Ok(())
}

/// A guest that waits keeps nobody from changing the slots.
fn slots(backend: &str) -> Result<()> {
    let mut guest = XenGuest::new(backend, Layout::Compat)?;
    let quickest = while_it_waits(&mut guest, Layout::Compat, &[PORT], LONG, |waiting| {
        let quickest = change_slots(waiting);
        xen::send(waiting.vm, PORT).context("sending an event")?;
        quickest
    })?;
    println!("# a change of the slots took {quickest:?}");
    ensure!(quickest < CHANGE, "a change of the slots took {quickest:?}");
    Ok(())
}

/// How long the quickest of some changes has taken, each while the guest waits.
fn change_slots(waiting: &Waiting<'_>) -> Result<Duration> {
    let memory = Memory::new(PAGE_4K, Backing::Small)?;
    let slot = Slot {
        id: SLOT + 1,
        gpa: 2 * BASE,
        ..Slot::of(&memory)
    };
    let mut quickest = Duration::MAX;
    for _ in 0..CHANGES {
        let begin = Instant::now();
        waiting.vm.set(&slot, 0)?;
        quickest = quickest.min(begin.elapsed());
        waiting.vm.delete(&slot)?;
        ensure!(
            !waiting.has_ended(),
            "a guest that waits holds up changes of slots"
        );
    }
    Ok(quickest)
}
