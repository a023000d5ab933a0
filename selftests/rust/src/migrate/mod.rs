// SPDX-License-Identifier: GPL-2.0

//! A Linux guest that migrates live from QEMU to QEMU, between VMs on C and VMs on Rust.
//!
//! It boots once, and works in its memory all the time (selftests/guest/src/migrant.rs). A QEMU asks KVM in
//! one of three ways which pages the guest has written since it sent them. Each way is the source's
//! once on each backend.

pub mod host;
pub mod journey;
mod sent;

use crate::harness;
use anyhow::{ensure, Context, Result};
use host::{Needs, Way};
use kvmtest::backend::{C, RUST};
use kvmtest::{module, qemu};
use std::process::ExitCode;

/// What QEMU needs of these machines' files.
pub const FILES: [&str; 3] = ["/guest/vmlinuz", "/guest/initrd", "/guest/dirty_log_way.so"];
/// Where the guest goes, in this order.
const HOSTS: [(&str, Way); 7] = [
    (C, Way::Manual),
    (RUST, Way::Manual),
    (C, Way::Plain),
    (RUST, Way::Plain),
    (RUST, Way::Ring),
    (C, Way::Ring),
    (RUST, Way::Manual),
];
/// Behind the dashes is what the guest's init gets.
const NEEDS: Needs = Needs {
    accel: "",
    options: "-cpu host",
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
    journey::run(&NEEDS, HOSTS[0], |journey| {
        HOSTS[1..]
            .iter()
            .try_for_each(|&to| journey.go(to, |_| Ok(())))
    })?;
    module::unload(module::NAME).context("unloading the module")
}
