// SPDX-License-Identifier: GPL-2.0

//! The clock that KVM keeps for a guest, when the guest moves to another VM.

use super::mixed;
use crate::harness::Test;
use anyhow::{ensure, Context, Result};
use kvm_bindings::{kvm_clock_data, KVM_CLOCK_REALTIME};
use kvmtest::backend::{C, RUST};
use kvmtest::memory::{Backing, Memory, PAGE_4K};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Vm, BASE};
use kvmtest::watch::Watch;
use std::thread::sleep;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[mixed("clock_moves", moves)];

/// In the second page, which stays empty.
const NO_STATES: u64 = BASE + PAGE_4K;
/// The guest is nowhere for so long.
const PAUSE: Duration = Duration::from_millis(200);
/// By so much clocks may differ: each change of one is a new measurement.
const DRIFT: Duration = Duration::from_millis(10);

/// A VM with a guest that reads its clock.
struct Guest {
    vm: Vm,
    vcpu: Vcpu,
    watch: Watch,
}

impl Guest {
    /// On `backend`, with what a guest elsewhere has left.
    fn new(backend: &str, memory: &Memory, clock: Option<kvm_clock_data>) -> Result<Self> {
        let (vm, vcpu) = Vm::with(backend, memory)?;
        if let Some(clock) = clock {
            vm.fd.set_clock(&clock).context("KVM_SET_CLOCK")?;
        }
        vcpu.set_clock(BASE)?;
        let watch = Watch::new(&vm)?;
        Ok(Self { vm, vcpu, watch })
    }

    /// What the guest's clock says.
    fn read(&mut self) -> Result<Duration> {
        self.vcpu.run(&Watch::regs(0, BASE, NO_STATES))?;
        let (clock, _) = self.watch.seen(0);
        ensure!(clock.version != 0, "the kernel has written no clock");
        Ok(Duration::from_nanos(clock.read()))
    }
}

/// It goes on where it stood, in a VM of the other backend, and has seen the time pass meanwhile.
fn moves(_: &str) -> Result<()> {
    for (from, to) in [(C, RUST), (RUST, C)] {
        let memory = Memory::new(2 * PAGE_4K, Backing::Small)?;
        let mut guest = Guest::new(from, &memory, None)?;
        let start = Instant::now();
        let before = guest.read()?;
        let clock = guest.vm.fd.get_clock().context("KVM_GET_CLOCK")?;
        drop(guest);
        sleep(PAUSE);
        let mut guest = Guest::new(to, &memory, Some(clock))?;
        let passed = guest.read()?.checked_sub(before);
        let passed = passed.with_context(|| format!("from {from} to {to}, the clock goes back"))?;
        // Without the time of day, KVM does not know how long the guest was nowhere.
        let dated = clock.flags & KVM_CLOCK_REALTIME != 0;
        let least = if dated { PAUSE } else { Duration::ZERO };
        let most = start.elapsed() + DRIFT;
        ensure!(
            (least..most).contains(&passed),
            "from {from} to {to}: {passed:?} instead of {least:?} to {most:?}"
        );
    }
    Ok(())
}
