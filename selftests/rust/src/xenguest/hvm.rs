// SPDX-License-Identifier: GPL-2.0

//! Linux as an HVM guest: KVM's interface is its own.

use super::start;
use crate::clock::repeat;
use crate::linux_guest::Guest;
use anyhow::{ensure, Context, Result};
use kvmtest::beside::beside;
use kvmtest::cpu;
use kvmtest::qemu::Qemu;
use kvmtest::qmp::Qmp;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

const FILES: [&str; 2] = ["/guest/vmlinuz", "/guest/initrd"];
const QEMU: &str = "-serial stdio -kernel /tmp/vmlinuz -initrd /tmp/initrd
    -qmp unix:/tmp/qmp,server=on,wait=off -append";
const QMP: &str = "/tmp/qmp";
const CMDLINE: &str = "console=ttyS0 quiet panic=-1 guest=HVM";
/// QEMU's threads for vCPUs are called "CPU 0/KVM" and so on.
const VCPU: &str = "/KVM";
/// How long the guest's vCPUs are stopped.
const PAUSE: Duration = Duration::from_secs(2);
/// Milliseconds of a tick, in which the guest counts time.
const TICK: u64 = 10;
/// Ticks that may lie between what the guest has said and the host's look.
const SOME: u64 = 50;
/// Milliseconds that somebody else uses a processor before looking whether to go on.
const TURN: u64 = 10;

/// The command `xen-guest`.
pub fn run() -> Result<()> {
    let mut guest = start(&FILES, QEMU, CMDLINE)?;
    guest.until_it_says("Using 2-level ABI")?;
    guest.until_it_says("busy")?;
    let others = cpu::allowed()?.len();
    let turn = || repeat(TURN, 1, |_| Ok(()));
    let waited = beside(others, turn, || {
        let before = waited(guest.qemu())?;
        guest.until_it_says("calm")?;
        let after = waited(guest.qemu())?;
        Ok(after.into_iter().zip(before).map(|(a, b)| a - b))
    })?;
    for (cpu, waited) in waited.enumerate() {
        let stolen = guest.until_it_says(&format!("stolen from CPU {cpu}: "))?;
        is_about(stolen.parse()?, waited.as_millis() as u64 / TICK)?;
    }
    guest.until_it_says("pause")?;
    pause(&mut guest)?;
    guest.until_it_says("resumed")?;
    guest.until_it_says("done")?;
    guest.until_it_ends()
}

/// What the guest's vCPUs have waited for, and what the guest counts as stolen, in ticks.
fn is_about(stolen: u64, waited: u64) -> Result<()> {
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

/// Stops the guest's vCPUs, and lets them go on.
fn pause(guest: &mut Guest) -> Result<()> {
    let mut qmp = Qmp::connect(QMP)?;
    qmp.execute("stop", json!({}))?;
    sleep(PAUSE);
    qmp.execute("cont", json!({}))?;
    guest.qemu().tell("go on")
}

/// How long each vCPU of this QEMU has waited for a processor.
fn waited(qemu: &Qemu) -> Result<Vec<Duration>> {
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
    Ok(times.into_values().collect())
}
