// SPDX-License-Identifier: GPL-2.0

//! A Linux guest in QEMU that takes this host for Xen.
//!
//! QEMU has what of Xen is not in KVM: its store, its grants, its disks. The rest is KVM's: event
//! channels, clocks, timers, the states of vCPUs. The guest's own program judges what it got
//! (selftests/guest/src/xen.rs).

use crate::clock::repeat;
use crate::harness;
use anyhow::{bail, ensure, Context, Result};
use kvmtest::beside::beside;
use kvmtest::cpu;
use kvmtest::memory::MIB;
use kvmtest::qemu::{self, Qemu};
use kvmtest::qmp::Qmp;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::ExitCode;
use std::thread::{sleep, yield_now};
use std::time::{Duration, Instant};

const FILES: [&str; 2] = ["/guest/vmlinuz", "/guest/initrd"];
const DISK: &str = "/tmp/xvda";
const DISK_SIZE: u64 = 32 * MIB;
const QEMU: &str = "/usr/bin/qemu-system-x86_64
    -accel kvm,xen-version=0x40011,kernel-irqchip=split -cpu host,+xen-vapic -smp 2 -m 512
    -name xen,debug-threads=on -nodefaults -no-user-config -display none -no-reboot -serial stdio
    -kernel /tmp/vmlinuz -initrd /tmp/initrd
    -drive file=/tmp/xvda,if=none,id=d,format=raw -device xen-disk,drive=d,vdev=xvda
    -qmp unix:/tmp/qmp,server=on,wait=off -append";
const QMP: &str = "/tmp/qmp";
const CMDLINE: &str = "console=ttyS0 quiet panic=-1";
/// What the guest's own programs say starts with this.
const PREFIX: &str = "guest: ";
/// QEMU's threads for vCPUs are called "CPU 0/KVM" and so on.
const VCPU: &str = "/KVM";
/// How long the guest's vCPUs are stopped.
const PAUSE: Duration = Duration::from_secs(2);
/// Milliseconds of a tick, in which the guest counts time.
const TICK: u64 = 10;
/// Ticks that may lie between what the guest has said and the host's look.
const SOME: u64 = 50;
/// From one line of the guest's to the next, on an emulated machine that others use too.
const PATIENCE: Duration = Duration::from_secs(120);
/// Milliseconds that somebody else uses a processor before looking whether to go on.
const TURN: u64 = 10;

/// The command `xen-guest`.
pub fn main(words: impl Iterator<Item = String>) -> Result<ExitCode> {
    ensure!(words.count() == 0, "xen-guest takes no words");
    Ok(harness::verdict("xen-guest", run()))
}

fn run() -> Result<()> {
    qemu::lend(&FILES.map(String::from))?;
    File::create(DISK)?.set_len(DISK_SIZE)?;
    let words = QEMU.split_whitespace().chain([CMDLINE]);
    let mut guest = Guest(Qemu::start(&words.map(String::from).collect::<Vec<_>>())?);
    guest.until_it_says("Using 2-level ABI")?;
    guest.until_it_says("busy")?;
    let others = cpu::allowed()?.len();
    let turn = || repeat(TURN, 1, |_| Ok(()));
    let waited = beside(others, turn, || {
        let before = guest.waited()?;
        guest.until_it_says("calm")?;
        let after = guest.waited()?;
        Ok(after.into_iter().zip(before).map(|(a, b)| a - b))
    })?;
    for (cpu, waited) in waited.enumerate() {
        let stolen = guest.until_it_says(&format!("stolen from CPU {cpu}: "))?;
        is_about(stolen.parse()?, waited.as_millis() as u64 / TICK)?;
    }
    guest.until_it_says("pause")?;
    guest.pause()?;
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

/// The running guest.
struct Guest(Qemu);

impl Guest {
    /// Shows what it says, and fails when it finds something wrong. Gives what comes after `wanted`.
    fn until_it_says(&self, wanted: &str) -> Result<String> {
        loop {
            let line = self.0.next_line(PATIENCE);
            let line = line.with_context(|| format!("the guest did not say '{wanted}'"))?;
            println!("# {line}");
            ensure!(
                !line.contains("Kernel panic"),
                "the guest's kernel panicked"
            );
            let Some(words) = line.strip_prefix(PREFIX) else {
                continue;
            };
            ensure!(!words.starts_with("FAILED"), "in the guest: {words}");
            if let Some(rest) = words.strip_prefix(wanted) {
                return Ok(rest.to_string());
            }
        }
    }

    /// Stops its vCPUs, and lets them go on.
    fn pause(&mut self) -> Result<()> {
        let mut qmp = Qmp::connect(QMP)?;
        qmp.execute("stop", json!({}))?;
        sleep(PAUSE);
        qmp.execute("cont", json!({}))?;
        self.0.tell("go on")
    }

    /// How long each vCPU has waited for a processor.
    fn waited(&self) -> Result<Vec<Duration>> {
        let tasks = format!("/proc/{}/task", self.0.pid());
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

    fn until_it_ends(&mut self) -> Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if let Some(status) = self.0.ended()? {
                ensure!(status.success(), "QEMU: {status}");
                return Ok(());
            }
            yield_now();
        }
        bail!("the guest does not switch itself off")
    }
}
