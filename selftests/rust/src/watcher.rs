// SPDX-License-Identifier: GPL-2.0

//! Asks the kernel's own watchers whether they are awake, and what they have found.
//!
//! Lockdep and KCSAN report to the kernel log, which others read; but a run says nothing if they
//! were not watching. Kmemleak reports when it is asked.

use crate::harness;
use anyhow::{bail, ensure, Context, Result};
use kvmtest::sysfs;
use std::process::ExitCode;

const LOCKDEP: &str = "/proc/lockdep_stats";
const KMEMLEAK: &str = "/sys/kernel/debug/kmemleak";
const KCSAN: &str = "/sys/kernel/debug/kcsan";

/// The command `watcher` with the words after it.
pub fn main(mut words: impl Iterator<Item = String>) -> Result<ExitCode> {
    let name = words.next().context("watcher wants a name")?;
    let ask = match name.as_str() {
        "lockdep" => lockdep,
        "kmemleak" => kmemleak,
        "kcsan" => kcsan,
        _ => bail!("no such watcher: {name}"),
    };
    Ok(harness::verdict(&name, ask()))
}

/// The first report, whosever it is, switches lockdep off.
fn lockdep() -> Result<()> {
    ensure!(
        sysfs::number_in(LOCKDEP, "debug_locks")? == 1,
        "lockdep is off: it reported something, or ran out of memory; see the kernel log"
    );
    Ok(())
}

/// Memory to which nothing points. Once is not enough: a pointer may just be in a register.
fn kmemleak() -> Result<()> {
    for _ in 0..2 {
        sysfs::write(KMEMLEAK, "scan").context("kmemleak ran out of memory, see the kernel log")?;
    }
    let found = sysfs::read(KMEMLEAK)?;
    found.lines().for_each(|line| println!("# {line}"));
    let leaks = found
        .lines()
        .filter(|line| line.starts_with("unreferenced object"));
    let leaks = leaks.count();
    ensure!(leaks == 0, "{leaks} objects are leaked");
    Ok(())
}

/// It watches some accesses, not all: without any the log says nothing.
fn kcsan() -> Result<()> {
    ensure!(sysfs::number_in(KCSAN, "enabled")? == 1, "KCSAN is off");
    let watched = sysfs::number_in(KCSAN, "setup_watchpoints")?;
    println!("# {watched} accesses were watched");
    ensure!(watched != 0, "KCSAN watched nothing");
    Ok(())
}
