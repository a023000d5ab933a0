// SPDX-License-Identifier: GPL-2.0

//! Where the guest executes, the NX workaround splits huge pages. Some of them are recovered from time to
//! time, in the hope that the guest has gone on.

use super::reported;
use crate::clock::wait_for;
use crate::harness::Test;
use anyhow::{ensure, Result};
use kvmtest::guest::{self, Pattern, Program};
use kvmtest::memory::{Backing, Memory, PAGE_2M};
use kvmtest::sysfs::{self, Setting, NX_HUGE_PAGES, NX_PERIOD, NX_RATIO};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Slot, Vm};
use std::thread::sleep;
use std::time::Duration;

pub const TESTS: &[Test] = &[reported("05-nx-count", "nx_recovery_counts", counts)];

const PAGES: u64 = 16;
/// Milliseconds between two rounds of recovery: those that the test waits for, and those that it looks at.
const AT_ONCE: &str = "1";
const SLOWLY: &str = "500";

/// However often pages were split and recovered: one part in 16 of those that are split is one page.
fn counts(backend: &str) -> Result<()> {
    let _settings = Setting::all(&[
        (NX_HUGE_PAGES, "force"),
        (NX_RATIO, "0"),
        (NX_PERIOD, AT_ONCE),
    ])?;
    let memory = Memory::new(PAGES * PAGE_2M, Backing::Huge)?;
    let slot = Slot::of(&memory);
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    for _ in 0..PAGES {
        execute(&vm, &mut vcpu, &slot)?;
        sysfs::write(NX_RATIO, "1")?;
        wait_for("all is recovered", || is_recovered(&vm))?;
        sysfs::write(NX_RATIO, "0")?;
    }
    execute(&vm, &mut vcpu, &slot)?;
    sysfs::write(NX_PERIOD, SLOWLY)?;
    sysfs::write(NX_RATIO, &PAGES.to_string())?;
    wait_for("some are recovered", || Ok(split(&vm)? < PAGES))?;
    // The round may still go on, and the next comes later.
    sleep(Duration::from_millis(100));
    let left = split(&vm)?;
    // This program may have been late for a round or two.
    ensure!(
        left >= PAGES / 2,
        "{left} of {PAGES} split pages are left of one round"
    );
    sysfs::write(NX_PERIOD, AT_ONCE)?;
    wait_for("all is recovered", || is_recovered(&vm))
}

/// The number of split pages goes down before what they map is gone. The page of the programs stays.
fn is_recovered(vm: &Vm) -> Result<bool> {
    Ok(split(vm)? == 0 && vm.mapped()? == [1, 0, 0])
}

/// Executes one instruction in each huge page, which splits it.
fn execute(vm: &Vm, vcpu: &mut Vcpu, slot: &Slot) -> Result<()> {
    let visit = guest::pass(Program::Visit, &slot.range(), PAGE_2M, Pattern::Same, 0);
    vcpu.run(&visit)?;
    let split = split(vm)?;
    ensure!(split == PAGES, "{split} pages are split, and not {PAGES}");
    Ok(())
}

fn split(vm: &Vm) -> Result<u64> {
    vm.stats.get("nx_lpage_splits")
}
