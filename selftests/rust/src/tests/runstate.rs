// SPDX-License-Identifier: GPL-2.0

//! The states that KVM keeps for a vCPU of a Xen guest: how long it was in each.

use super::{interrupt_at_once, long};
use crate::beside::beside;
use crate::cpu;
use crate::harness::Test;
use anyhow::{ensure, Result};
use kvmtest::memory::{Backing, Memory, PAGE_4K};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Vm, BASE};
use kvmtest::xen;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[Test {
    fails: "docs/upstream/09-runstate-twice.md",
    ..long("runstate_adds_up", adds_up)
}];

/// By now KVM has been interrupted often enough.
const COUNTING: Duration = Duration::from_secs(30);
/// From one interruption to the next.
const PAUSE: Duration = Duration::from_micros(300);
/// The vCPU gets so much more if it has not got on in a pause, as on a machine that others use too.
const REST: Duration = Duration::from_millis(10);

/// However often KVM is interrupted while it counts: the times add up to the moment of the last change.
fn adds_up(backend: &str) -> Result<()> {
    let memory = Memory::new(PAGE_4K, Backing::Small)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    xen::enable(&vm)?;
    let _preempt = interrupt_at_once()?;
    let exits = AtomicU32::new(0);
    let interrupt = || {
        cpu::go_first(1)?;
        let before = exits.load(SeqCst);
        sleep(PAUSE);
        if exits.load(SeqCst) == before {
            sleep(REST);
        }
        Ok(())
    };
    // A thread of its own: who interrupts inherits its processor, and no other test does.
    let excess = thread::scope(|scope| {
        let counting = scope.spawn(|| {
            cpu::stay_on(cpu::here()?)?;
            beside(1, interrupt, || count(&mut vcpu, &exits))
        });
        counting.join().expect("no panics here")
    })?;
    ensure!(excess == 0, "KVM has counted time twice");
    Ok(())
}

/// KVM counts when a vCPU is entered. Gives the excess of the times, as soon as there is one.
fn count(vcpu: &mut Vcpu, exits: &AtomicU32) -> Result<i64> {
    let begin = Instant::now();
    while begin.elapsed() < COUNTING {
        vcpu.fill(&(BASE..BASE + PAGE_4K), 1)?;
        exits.fetch_add(1, SeqCst);
        let excess = xen::states(&vcpu.fd)?.excess();
        if excess != 0 {
            return Ok(excess);
        }
    }
    Ok(0)
}
