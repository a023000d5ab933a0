// SPDX-License-Identifier: GPL-2.0

//! Time that others have of a guest's processors: what the guest says, and what the host knows.

use anyhow::{ensure, Context, Result};
use kvmtest::qemu::Qemu;
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// vCPUs of a guest.
pub const CPUS: usize = 2;
/// QEMU's threads for vCPUs are called "CPU 0/KVM" and so on.
const VCPU: &str = "/KVM";
/// Milliseconds of a tick, in which the guest counts time.
const TICK: u64 = 10;
/// Ticks that may lie between what the guest has said and the host's look.
const SOME: u64 = 50;

/// What the guest counts as stolen from one vCPU, in ticks, and what that has waited for.
pub fn is_about(stolen: u64, waited: Duration) -> Result<()> {
    let waited = waited.as_millis() as u64 / TICK;
    println!("# the host knows of {waited}");
    ensure!(
        waited > 2 * SOME,
        "nobody has taken much time from the guest"
    );
    ensure!(
        stolen.abs_diff(waited) <= waited / 4 + SOME,
        "the guest counts {stolen} ticks as stolen instead of {waited}"
    );
    Ok(())
}

/// How long each vCPU of this QEMU has waited for a processor.
pub fn waited(qemu: &Qemu) -> Result<Vec<Duration>> {
    let tasks = format!("/proc/{}/task", qemu.pid());
    let mut times = BTreeMap::new();
    for task in fs::read_dir(&tasks).context(tasks)? {
        let task = task?.path();
        let name = fs::read_to_string(task.join("comm"))?;
        if name.trim_end().ends_with(VCPU) {
            let schedstat = fs::read_to_string(task.join("schedstat"))?;
            let time = schedstat.split_whitespace().nth(1);
            let time = time.context("schedstat has three numbers")?.parse()?;
            times.insert(name, Duration::from_nanos(time));
        }
    }
    ensure!(times.len() == CPUS, "{} threads are vCPUs", times.len());
    Ok(times.into_values().collect())
}
