// SPDX-License-Identifier: GPL-2.0

//! Linux as an HVM guest: KVM's interface is its own.

use super::stolen::{is_about, waited};
use super::{start, TURN};
use crate::clock::repeat;
use crate::linux_guest::Guest;
use anyhow::{ensure, Context, Result};
use kvmtest::beside::beside;
use kvmtest::cpu;
use kvmtest::qmp::Qmp;
use serde_json::json;
use std::thread::sleep;
use std::time::{Duration, Instant};

const FILES: [&str; 2] = ["/guest/vmlinuz", "/guest/initrd"];
const QEMU: &str = "-serial stdio -kernel /tmp/vmlinuz -initrd /tmp/initrd
    -qmp unix:/tmp/qmp,server=on,wait=off -append";
const QMP: &str = "/tmp/qmp";
const CMDLINE: &str = "console=ttyS0 quiet panic=-1 guest=HVM";
/// How long the guest's vCPUs are stopped.
const PAUSE: Duration = Duration::from_secs(2);
/// By how much the two clocks may get apart, as the host's may be adjusted.
const DRIFT: Duration = Duration::from_millis(20);

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
    guest.until_it_says("may be stopped")?;
    pause(&mut guest)?;
    guest.until_it_says("done")?;
    guest.until_it_ends()
}

/// Stops the guest's vCPUs, and lets them go on. The guest's clock stands still with them.
///
/// The guest looks at its clock after it was told to, and before it tells. So what passes there is a part of what
/// passes here, and so is the time for which it is stopped. However late anybody is, no more passes for the guest than
/// what is left of the one without the other.
fn pause(guest: &mut Guest) -> Result<()> {
    let mut qmp = Qmp::connect(QMP)?;
    let begin = Instant::now();
    guest.qemu().tell("begin")?;
    guest.until_it_says("pause")?;
    qmp.execute("stop", json!({}))?;
    let stopped = Instant::now();
    sleep(PAUSE);
    let stopped = stopped.elapsed();
    qmp.execute("cont", json!({}))?;
    guest.qemu().tell("go on")?;
    let passed = guest.until_it_says("resumed after ")?;
    time_stood_still(&passed, begin.elapsed(), stopped)
}

/// At most so much has passed for the guest, which says how many milliseconds.
fn time_stood_still(passed: &str, all: Duration, stopped: Duration) -> Result<()> {
    let passed = passed
        .strip_suffix(" ms")
        .context("the guest says how long")?;
    let passed = Duration::from_millis(passed.parse()?);
    println!(
        "# {passed:?} have passed for the guest, {all:?} here, it was stopped for {stopped:?}"
    );
    ensure!(
        passed <= all - stopped + DRIFT,
        "of {all:?}, for {stopped:?} of which it was stopped, {passed:?} have passed for the guest"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::time_stood_still;
    use std::time::Duration;

    #[test]
    fn the_guest_does_not_count_a_pause() {
        let judged = |passed, all| {
            let [all, stopped] = [all, 2000].map(Duration::from_millis);
            time_stood_still(passed, all, stopped).is_ok()
        };
        assert!(judged("700 ms", 2700));
        assert!(judged("705 ms", 2700));
        assert!(judged("700 ms", 9000));
        assert!(!judged("2700 ms", 2700));
        assert!(!judged("1000 ms", 2700));
        assert!(!judged("soon", 2700));
    }
}
