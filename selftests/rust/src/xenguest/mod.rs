// SPDX-License-Identifier: GPL-2.0

//! Linux guests in QEMU that take this host for Xen.
//!
//! QEMU has what of Xen is not in KVM: its store, its grants, its disks. The rest is KVM's: event
//! channels, clocks, timers, the states of vCPUs. The guest's own program judges what it got
//! (selftests/guest/src/xen.rs).

mod calls;
mod hvm;
mod shim;

pub use hvm::run as hvm;
pub use shim::run as shim;

use crate::harness;
use anyhow::{bail, ensure, Result};
use kvmtest::memory::MIB;
use kvmtest::qemu::{self, Qemu};
use std::fs::File;
use std::process::ExitCode;
use std::thread::yield_now;
use std::time::{Duration, Instant};

const DISK: &str = "/tmp/xvda";
const DISK_SIZE: u64 = 32 * MIB;
/// QEMU, for all of them.
const QEMU: &str = "/usr/bin/qemu-system-x86_64
    -accel kvm,xen-version=0x40011,kernel-irqchip=split -cpu host,+xen-vapic -smp 2 -m 512
    -name xen,debug-threads=on -nodefaults -no-user-config -display none -no-reboot
    -drive file=/tmp/xvda,if=none,id=d,format=raw -device xen-disk,drive=d,vdev=xvda";
/// What the guest's own programs say starts with this.
const PREFIX: &str = "guest: ";
/// From one line of the guest's to the next, on an emulated machine that others use too.
const PATIENCE: Duration = Duration::from_secs(180);

/// One of the commands for guests.
pub fn main(
    name: &str,
    run: fn() -> Result<()>,
    words: impl Iterator<Item = String>,
) -> Result<ExitCode> {
    ensure!(words.count() == 0, "{name} takes no words");
    Ok(harness::verdict(name, run()))
}

/// The running guest.
struct Guest(Qemu);

impl Guest {
    /// Boots from `files`, by these words for QEMU. The last one may have spaces.
    fn start(files: &[&str], words: &str, cmdline: &str) -> Result<Self> {
        let files: Vec<String> = files.iter().map(|file| file.to_string()).collect();
        qemu::lend(&files)?;
        File::create(DISK)?.set_len(DISK_SIZE)?;
        let words = QEMU.split_whitespace().chain(words.split_whitespace());
        let words: Vec<String> = words.chain([cmdline]).map(String::from).collect();
        Ok(Self(Qemu::start(&words)?))
    }

    /// Shows what it says, and fails when it finds something wrong. Gives what comes after `wanted`, which its
    /// program has said.
    fn until_it_says(&mut self, wanted: &str) -> Result<String> {
        self.until(PREFIX, wanted)
    }

    /// The same of what is said with that prefix.
    fn until(&mut self, prefix: &str, wanted: &str) -> Result<String> {
        loop {
            let begin = Instant::now();
            let Some(line) = self.0.next_line(PATIENCE) else {
                bail!(
                    "the guest did not say '{wanted}': {}",
                    why_silent(begin.elapsed())
                );
            };
            println!("# {line}");
            ensure!(
                !line.contains("Kernel panic"),
                "the guest's kernel panicked"
            );
            if let Some(reason) = line.strip_prefix(PREFIX) {
                ensure!(!reason.starts_with("FAILED"), "in the guest: {reason}");
            }
            let words = line.strip_prefix(prefix);
            if let Some(rest) = words.and_then(|words| words.strip_prefix(wanted)) {
                return Ok(rest.to_string());
            }
        }
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

/// After so long.
fn why_silent(waited: Duration) -> String {
    if waited < PATIENCE {
        "QEMU has ended".into()
    } else {
        format!("it hangs, and nothing was heard of it for {PATIENCE:?}")
    }
}
