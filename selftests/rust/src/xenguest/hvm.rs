// SPDX-License-Identifier: GPL-2.0

//! Linux as an HVM guest: KVM's interface is its own.

use super::stolen::{is_about, waited};
use super::{start, TURN};
use crate::clock::repeat;
use crate::linux_guest::Guest;
use anyhow::Result;
use kvmtest::beside::beside;
use kvmtest::cpu;
use kvmtest::qmp::Qmp;
use serde_json::json;
use std::thread::sleep;
use std::time::Duration;

const FILES: [&str; 2] = ["/guest/vmlinuz", "/guest/initrd"];
const QEMU: &str = "-serial stdio -kernel /tmp/vmlinuz -initrd /tmp/initrd
    -qmp unix:/tmp/qmp,server=on,wait=off -append";
const QMP: &str = "/tmp/qmp";
const CMDLINE: &str = "console=ttyS0 quiet panic=-1 guest=HVM";
/// How long the guest's vCPUs are stopped.
const PAUSE: Duration = Duration::from_secs(2);

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
        is_about(stolen.parse()?, waited)?;
    }
    guest.until_it_says("pause")?;
    pause(&mut guest)?;
    guest.until_it_says("resumed")?;
    guest.until_it_says("done")?;
    guest.until_it_ends()
}

/// Stops the guest's vCPUs, and lets them go on.
fn pause(guest: &mut Guest) -> Result<()> {
    let mut qmp = Qmp::connect(QMP)?;
    qmp.execute("stop", json!({}))?;
    sleep(PAUSE);
    qmp.execute("cont", json!({}))?;
    guest.qemu().tell("go on")
}
