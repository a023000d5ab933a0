// SPDX-License-Identifier: GPL-2.0

//! What KVM does for guests that were made for Xen: each thing many times.
//!
//! Figures are per update, event or call.

use crate::sample::{Kind, Samples};
use anyhow::{ensure, Context, Result};
use kvm_bindings::KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT;
use kvmtest::memory::PAGE_4K;
use kvmtest::vm::BASE;
use kvmtest::xen::{self, Area, UPCALL};
use kvmtest::xen_attr::Attribute;
use kvmtest::xen_calls::{Call, POLL, SCHED, SET_TIMER, VCPU};
use kvmtest::xen_guest::{XenGuest, DATA, INFO, SHARED};
use kvmtest::xen_layout::Layout;
use vmm_sys_util::eventfd::EventFd;

/// How often each is done with the smallest size.
const TIMES: u64 = 100;
/// The run state, which userspace may set.
const STATE: Attribute = Attribute::Vcpu(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT as u16);
/// Running, and waiting for a processor. For the latter, C does what it does when the scheduler says so.
const STATES: [u64; 2] = [0, 1];
/// In the guest's memory: the states in one page, and in two.
const WHOLE: u64 = DATA;
const SPLIT: u64 = DATA + PAGE_4K - 20;
const PORT: u32 = 9;
/// Nanoseconds until a timer goes off: long after the end.
const HOUR: u64 = 3_600_000_000_000;

/// A vCPU's run state changes.
pub fn runstate(samples: &mut Samples) -> Result<()> {
    let guest = XenGuest::new(samples.backend, Layout::Native)?;
    xen::mark_changes(&guest.vm)?;
    for (op, place) in [
        ("run state, no copy", None),
        ("run state, one page", Some(BASE + WHOLE)),
        ("run state, two pages", Some(BASE + SPLIT)),
    ] {
        xen::set_area(&guest.vcpu, Area::Runstate, place).context("placing the states")?;
        each(samples, op, "update", |number| {
            let state = STATES[number as usize % STATES.len()];
            let error = STATE.set(&guest.vm, &guest.vcpu, [state, 0, 0, 0, 0, 0, 0, 0]);
            ensure!(error == 0, "setting the state: {error}");
            Ok(())
        })?;
    }
    Ok(())
}

/// An event is sent: by an interrupt, by a call, and while there is no page for it.
pub fn events(samples: &mut Samples) -> Result<()> {
    let guest = XenGuest::new(samples.backend, Layout::Native)?;
    let interrupt = EventFd::new(libc::EFD_NONBLOCK).context("eventfd")?;
    let wired = guest.vm.fd.register_irqfd(&interrupt, 0);
    wired.context("KVM_IRQFD")?;
    xen::route(&guest.vm, &[PORT])?;
    each(samples, "event, interrupt", "event", |_| {
        interrupt.write(1)?;
        take(&guest)
    })?;
    each(samples, "event, call", "event", |_| {
        xen::send(&guest.vm, PORT)?;
        take(&guest)
    })?;
    each(samples, "event, page gone", "event", |_| {
        guest.memory.discard(SHARED..SHARED + PAGE_4K)?;
        xen::send(&guest.vm, PORT)?;
        take(&guest)
    })
}

/// The guest's part: the event is there at once, and is taken.
fn take(guest: &XenGuest) -> Result<()> {
    let pending = SHARED + Layout::Native.pending().start + u64::from(PORT / 8);
    let (selector, _) = Layout::Native.selected(PORT);
    let places = [pending, INFO + selector, INFO + UPCALL];
    let seen = places.map(|place| guest.memory.load(place / 4 * 4));
    ensure!(!seen.contains(&0), "the guest has {seen:x?}");
    for place in places {
        guest.memory.store(place / 4 * 4, 0);
    }
    Ok(())
}

/// The guest calls: to wait for an event that is there, and to set its timer.
pub fn calls(samples: &mut Samples) -> Result<()> {
    let mut guest = XenGuest::new(samples.backend, Layout::Native)?;
    xen::send(&guest.vm, PORT)?;
    // Where the number of the channel is, how many there are, for how long.
    for (index, word) in [(BASE + DATA + 16) as u32, 1, 0, 0, PORT]
        .into_iter()
        .enumerate()
    {
        guest.memory.store(DATA + 4 * index as u64, word);
    }
    repeat(
        samples,
        "poll, event there",
        &mut guest,
        Call::new(SCHED, &[POLL, BASE + DATA]),
    )?;

    xen::set_id(&guest.vcpu, 0)?;
    xen::set_timer(&guest.vcpu, PORT, 0)?;
    let later = guest.vm.fd.get_clock().context("KVM_GET_CLOCK")?.clock + HOUR;
    guest.memory.write(DATA, &later.to_le_bytes());
    repeat(
        samples,
        "timer set",
        &mut guest,
        Call::new(VCPU, &[SET_TIMER, 0, BASE + DATA]),
    )
}

/// All calls are made in one loop of the guest's.
fn repeat(samples: &mut Samples, op: &str, guest: &mut XenGuest, call: Call) -> Result<()> {
    let times = TIMES * samples.scale;
    samples.time(op, "call", Kind::Work, times, || {
        let answer = guest.caller.repeat(&mut guest.vcpu, call, times as u32)?;
        ensure!(answer == 0, "{call:x?}: {answer}");
        Ok(())
    })
}

fn each(
    samples: &mut Samples,
    op: &str,
    unit: &str,
    mut act: impl FnMut(u64) -> Result<()>,
) -> Result<()> {
    let times = TIMES * samples.scale;
    samples.time(op, unit, Kind::Work, times, || {
        (0..times).try_for_each(&mut act)
    })
}
