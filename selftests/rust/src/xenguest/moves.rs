// SPDX-License-Identifier: GPL-2.0

//! Linux as an HVM guest that migrates live, between VMs on C and VMs on Rust.
//!
//! QEMU has marked its part of Xen as one that does not migrate, because what is behind disks and networks does
//! not. So the guest gives its disk back first. The mark is cleared in each QEMU (`mark`). A library has QEMU take
//! along what it leaves behind (selftests/preload/xen_moves.c).

use super::stolen::{is_about, waited, CPUS};
use super::{mark, DISK, DISK_SIZE, TURN};
use crate::clock::repeat;
use crate::migrate::host::{Needs, Way};
use crate::migrate::journey::{self, Journey, Report};
use crate::migrate::FILES;
use anyhow::{ensure, Context, Result};
use kvmtest::backend::{C, RUST};
use kvmtest::beside::beside;
use kvmtest::{cpu, qemu};
use serde_json::json;
use std::fs::File;
use std::time::Duration;

const LIBRARY: &str = "/guest/xen_moves.so";
/// Where the guest goes, in this order.
const HOSTS: [(&str, Way); 4] = [
    (C, Way::Manual),
    (RUST, Way::Manual),
    (RUST, Way::Ring),
    (C, Way::Manual),
];
const NEEDS: Needs = Needs {
    accel: ",xen-version=0x40011,kernel-irqchip=split",
    options: "-m 128 -cpu host,+xen-vapic -name xen,debug-threads=on",
    stays: "-drive file=/tmp/xvda,if=none,id=d,format=raw -device xen-disk,id=x,drive=d,vdev=xvda",
    cmdline: "guest=HVM work=moves",
    library: "/tmp/xen_moves.so",
    variables,
    prepare: mark::clear,
};

/// The command `xen-moves`.
pub fn run() -> Result<()> {
    let files = FILES.into_iter().chain([LIBRARY]);
    qemu::lend(&files.map(String::from).collect::<Vec<_>>())?;
    File::create(DISK)?.set_len(DISK_SIZE)?;
    journey::run(&NEEDS, HOSTS[0], travel)
}

/// Where the library keeps what goes along, and finds it. On Rust it must add up.
fn variables(number: usize) -> Vec<String> {
    let file = |name: &str, number| format!("{name}=/tmp/times-{number}");
    let mut variables = vec![file("LEAVES", number)];
    if HOSTS[number].0 == RUST {
        variables.push("EXACT=1".to_string());
    }
    if let Some(last) = number.checked_sub(1) {
        variables.push(file("TAKES", last));
    }
    variables
}

fn travel(journey: &mut Journey) -> Result<()> {
    journey.guest.until_it_says("the disk may go")?;
    journey.at.qmp.execute("device_del", json!({"id": "x"}))?;
    journey.guest.until_it_says("the disk is gone")?;
    let others = cpu::allowed()?.len();
    let turn = || repeat(TURN, 1, |_| Ok(()));
    beside(others, turn, || {
        let mut stay = Stay::now(journey)?;
        HOSTS[1..].iter().try_for_each(|&to| stay.ends(journey, to))
    })
}

/// What others have had of each vCPU's time, when the guest has come to a QEMU: as the guest counts it since it
/// booted, in ticks, and as the host does since the QEMU is there.
struct Stay {
    stolen: Vec<u64>,
    waited: Vec<Duration>,
}

impl Stay {
    fn now(journey: &mut Journey) -> Result<Self> {
        let report = journey.reports()?;
        Ok(Self {
            stolen: stolen(&report)?,
            waited: waited(journey.guest.qemu())?,
        })
    }

    /// The guest migrates. What was stolen from it since it came is what its vCPUs have waited for here and there.
    fn ends(&mut self, journey: &mut Journey, to: (&'static str, Way)) -> Result<()> {
        let here = journey.go(to, waited)?;
        let next = Self::now(journey)?;
        (0..CPUS).try_for_each(|cpu| {
            let stolen = next.stolen[cpu].checked_sub(self.stolen[cpu]);
            let stolen = stolen.context("what was stolen is back")?;
            println!("# stolen from CPU {cpu} meanwhile: {stolen}");
            is_about(stolen, here[cpu] - self.waited[cpu] + next.waited[cpu])
        })?;
        *self = next;
        Ok(())
    }
}

/// As the guest has reported it.
fn stolen(report: &Report) -> Result<Vec<u64>> {
    let (_, numbers) = report
        .words
        .split_once("stolen: ")
        .context("a report has what was stolen")?;
    let numbers = numbers.split_whitespace().map(str::parse);
    let numbers: Vec<u64> = numbers.collect::<Result<_, _>>()?;
    ensure!(numbers.len() == CPUS, "{} vCPUs", numbers.len());
    Ok(numbers)
}
