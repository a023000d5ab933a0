// SPDX-License-Identifier: GPL-2.0

//! A Linux guest that migrates live from QEMU to QEMU, between VMs on C and VMs on Rust.
//!
//! It boots once, and works in its memory all the time (selftests/guest/src/migrant.rs). A QEMU asks KVM in
//! one of three ways which pages the guest has written since it sent them. Each way is the source's
//! on each backend.
//!
//! How long the guest's faults wait for `mmu_lock` meanwhile is shown. In between the host has small pages: with huge
//! ones there is hardly a fault.

pub mod host;
pub mod journey;
mod sent;
mod waits;

use crate::harness;
use anyhow::{ensure, Context, Result};
use host::{Needs, Way};
use journey::Journey;
use kvmtest::backend::{C, RUST};
use kvmtest::sysfs::Setting;
use kvmtest::{module, qemu};
use std::process::ExitCode;

/// What QEMU needs of these machines' files.
pub const FILES: [&str; 3] = ["/guest/vmlinuz", "/guest/initrd", "/guest/dirty_log_way.so"];
/// Of the host.
const HUGE_PAGES: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
type Hosts = &'static [(&'static str, Way)];
/// Where the guest goes, in this order. Its memory is in huge pages, ...
const BEFORE: Hosts = &[(C, Way::Manual), (RUST, Way::Manual)];
/// ... in small ones ...
const SMALL: Hosts = &[
    (C, Way::Manual),
    (RUST, Way::Manual),
    (C, Way::Plain),
    (RUST, Way::Plain),
];
/// ... and in huge ones again.
const AFTER: Hosts = &[(RUST, Way::Ring), (C, Way::Ring), (RUST, Way::Manual)];
/// Behind the dashes is what the guest's init gets.
const NEEDS: Needs = Needs {
    accel: "",
    options: "-m 512 -cpu host",
    stays: "",
    cmdline: "-- migrant",
    library: "",
    variables: |_| Vec::new(),
    prepare: |_| Ok(()),
};

/// The command `migrate`.
pub fn main(words: impl Iterator<Item = String>) -> Result<ExitCode> {
    ensure!(words.count() == 0, "migrate takes no words");
    Ok(harness::verdict("migrate", run()))
}

fn run() -> Result<()> {
    qemu::lend(&FILES.map(String::from))?;
    journey::run(&NEEDS, BEFORE[0], travel)?;
    module::unload(module::NAME).context("unloading the module")
}

fn travel(journey: &mut Journey) -> Result<()> {
    visit(journey, &BEFORE[1..])?;
    let huge = Setting::new(HUGE_PAGES, "never")?;
    visit(journey, SMALL)?;
    drop(huge);
    visit(journey, AFTER)?;
    journey.waits.show();
    Ok(())
}

fn visit(journey: &mut Journey, hosts: Hosts) -> Result<()> {
    hosts.iter().try_for_each(|&to| journey.go(to, |_| Ok(())))
}
