// SPDX-License-Identifier: GPL-2.0

//! Events for the first vCPU: each sets its bit in the shared page, and bits in the vCPU's own.
//!
//! One at a time, from each of the three sources in turn: a call, an interrupt, the timer.

use super::machine::{Machine, INFOS, INTERRUPTS, SHARED, TIMER};
use crate::refusal::Before;
use anyhow::{bail, Context, Result};
use kvmtest::xen::{self, PENDING, SELECTOR, UPCALL};
use std::sync::atomic::Ordering::SeqCst;
use std::thread::yield_now;
use std::time::{Duration, Instant};
use vmm_sys_util::eventfd::EventFd;

/// The event channel of the call.
const CALL: u32 = 7;
/// Long enough for anything that is not lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends events until it is over, and says how many have arrived.
pub fn run(machine: &Machine) -> Result<u32> {
    let sent = send_all(machine);
    machine.end();
    sent.context("events")
}

fn send_all(machine: &Machine) -> Result<u32> {
    let mut interrupts = Vec::new();
    for number in 0..INTERRUPTS.len() {
        let interrupt = EventFd::new(libc::EFD_NONBLOCK).context("eventfd")?;
        let wired = machine.vm.fd.register_irqfd(&interrupt, number as u32);
        wired.context("KVM_IRQFD")?;
        interrupts.push(interrupt);
    }
    let mut arrived = 0;
    while !machine.is_over() {
        for (interrupt, port) in interrupts.iter().zip(INTERRUPTS) {
            arrived += event(machine, port, || Ok(interrupt.write(1)?))?;
        }
        arrived += event(machine, CALL, || Ok(xen::send(&machine.vm, CALL)?))?;
        arrived += event(machine, TIMER, || {
            machine.timer.store(true, SeqCst);
            Ok(())
        })?;
    }
    Ok(arrived)
}

/// One event; counts if it has arrived. One may be lost if the kernel could not write.
fn event(machine: &Machine, port: u32, send: impl FnOnce() -> Result<()>) -> Result<u32> {
    let before = machine.outages.now();
    let sent = send();
    let arrived = match sent {
        Ok(()) => has_arrived(machine, port, before)?,
        Err(_) if machine.outages.any_since(before) => false,
        Err(error) => return Err(error).with_context(|| format!("sending to channel {port}")),
    };
    machine.timer.store(false, SeqCst);
    clear(machine, port);
    Ok(arrived.into())
}

fn has_arrived(machine: &Machine, port: u32, before: Before) -> Result<bool> {
    let begin = Instant::now();
    while !is_there(machine, port) {
        if machine.outages.any_since(before) || machine.is_over() {
            return Ok(false);
        }
        if begin.elapsed() > PATIENCE {
            bail!("an event of channel {port} is lost");
        }
        yield_now();
    }
    Ok(true)
}

/// The word of the pending bits that has the port's.
fn word(port: u32) -> u64 {
    SHARED + PENDING + u64::from(port / 32) * 4
}

fn is_there(machine: &Machine, port: u32) -> bool {
    let _access = machine.let_in();
    let load = |offset| machine.kept.load(offset);
    load(word(port)) >> (port % 32) & 1 == 1
        && load(INFOS[0] + SELECTOR) >> (port / 32) & 1 == 1
        && load(INFOS[0] + UPCALL) & 1 == 1
}

/// As a guest does: first what leads to the bits, then these.
fn clear(machine: &Machine, port: u32) {
    let _access = machine.let_in();
    for offset in [INFOS[0] + UPCALL, INFOS[0] + SELECTOR, word(port)] {
        machine.kept.store(offset, 0);
    }
}
