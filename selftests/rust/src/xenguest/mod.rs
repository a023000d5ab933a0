// SPDX-License-Identifier: GPL-2.0

//! Linux guests in QEMU that take this host for Xen.
//!
//! QEMU has what of Xen is not in KVM: its store, its grants, its disks. The rest is KVM's: event
//! channels, clocks, timers, the states of vCPUs. The guest's own program judges what it got
//! (selftests/guest/src/xen.rs).

mod calls;
mod hvm;
mod mark;
mod moves;
mod shim;
mod stolen;

pub use hvm::run as hvm;
pub use moves::run as moves;
pub use shim::run as shim;

use crate::harness;
use crate::linux_guest::Guest;
use anyhow::{ensure, Result};
use kvmtest::memory::MIB;
use kvmtest::qemu::{self, Qemu};
use std::fs::File;
use std::process::ExitCode;

const DISK: &str = "/tmp/xvda";
const DISK_SIZE: u64 = 32 * MIB;
/// Milliseconds that somebody else uses a processor before looking whether to go on.
const TURN: u64 = 10;
/// QEMU, for those that stay.
const QEMU: &str = "/usr/bin/qemu-system-x86_64
    -accel kvm,xen-version=0x40011,kernel-irqchip=split -cpu host,+xen-vapic -smp 2 -m 512
    -name xen,debug-threads=on -nodefaults -no-user-config -display none -no-reboot
    -drive file=/tmp/xvda,if=none,id=d,format=raw -device xen-disk,drive=d,vdev=xvda";
/// One of the commands for guests.
pub fn main(
    name: &str,
    run: fn() -> Result<()>,
    words: impl Iterator<Item = String>,
) -> Result<ExitCode> {
    ensure!(words.count() == 0, "{name} takes no words");
    Ok(harness::verdict(name, run()))
}

/// Boots a guest from `files`, by these words for QEMU. The last one may have spaces.
fn start(files: &[&str], words: &str, cmdline: &str) -> Result<Guest> {
    let files: Vec<String> = files.iter().map(|file| file.to_string()).collect();
    qemu::lend(&files)?;
    File::create(DISK)?.set_len(DISK_SIZE)?;
    let words = QEMU.split_whitespace().chain(words.split_whitespace());
    let words: Vec<String> = words.chain([cmdline]).map(String::from).collect();
    Ok(Guest::new(Qemu::start(&words)?, true))
}
