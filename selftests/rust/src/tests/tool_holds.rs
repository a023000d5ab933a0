// SPDX-License-Identifier: GPL-2.0

//! `kvmrs holds` says of real VMs how long `mmu_lock` was held for the dirty log, and for faults.

use super::test;
use super::tool::command;
use super::tool_why::is_tidy;
use crate::clock::wait_for;
use crate::harness::{Skip, Test};
use anyhow::{bail, ensure, Context, Result};
use kvm_bindings::KVM_MEM_LOG_DIRTY_PAGES as LOG;
use kvmtest::backend::C;
use kvmtest::memory::{Backing, Memory, MIB, PAGE_4K};
use kvmtest::probes::{Probes, TRACING};
use kvmtest::sysfs;
use kvmtest::vm::{Slot, Vm, BASE};
use serde_json::Value;
use std::fs;
use std::io::{Error, Read};
use std::process::{Child, Stdio};

pub const TESTS: &[Test] = &[test("tool_holds", holds), test("tool_holds_killed", killed)];

const SIZE: u64 = 16 * MIB;
const PAGES: u64 = SIZE / PAGE_4K;
/// In so many nanoseconds no processor takes a page out of a log.
const LEAST: u64 = 2;
const NO_PROBES: &str = "the kernel has no kprobes";

/// The guest faults once for each page, and then the log has all of them. C takes it in one hold for write. In
/// a VM on Rust nobody holds the lock for write.
fn holds(backend: &str) -> Result<()> {
    let memory = Memory::new(SIZE, Backing::Small)?;
    let slot = Slot::of(&memory);
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    vm.set(&slot, LOG)?;
    let looking = Looking::begin()?;
    vcpu.fill(&(BASE..BASE + SIZE), 1)?;
    let log = vm.get_log(&slot)?;
    let table = looking.end()?;
    ensure!(log.iter().all(|word| *word == !0), "not all is dirty");
    ensure!(
        table["events_lost"] == 0 && table["incomplete"] == 0,
        "something is missing: {table}"
    );
    let faults = sum(&table, "faults", "read")?.holds;
    ensure!(faults >= PAGES, "few faults: {table}");
    let [read, write] = ["read", "write"].map(|mode| sum(&table, "dirty_logs", mode));
    let (read, write) = (read?, write?);
    let (held, not_held) = match backend {
        C => (write, read),
        _ => (read, write),
    };
    ensure!(
        held.holds >= 1,
        "the log was not taken in the way of {backend}: {table}"
    );
    let seconds = table["seconds"].as_f64().context("no time")?;
    ensure!(
        (PAGES * LEAST..(seconds * 1e9) as u64).contains(&held.longest),
        "no time for a log of {PAGES} pages: {table}"
    );
    ensure!(
        not_held.holds == 0,
        "the log was taken in another way than that of {backend}: {table}"
    );
    ensure!(backend != C || held.holds == 1, "several holds: {table}");
    is_tidy()?;
    has_no_probes()
}

/// Who is killed leaves probes, and the next one removes them.
fn killed(backend: &str) -> Result<()> {
    let _vm = Vm::new(backend)?;
    let mut looking = Looking::begin()?;
    looking.0.kill()?;
    looking.0.wait()?;
    ensure!(has_no_probes().is_err(), "a killed tool has left no probes");
    Looking::begin()?.end()?;
    is_tidy()?;
    has_no_probes()
}

/// The tool while it looks.
struct Looking(Child);

impl Looking {
    /// Returns when it does.
    fn begin() -> Result<Self> {
        if !Probes::work_here() {
            bail!(Skip(NO_PROBES.into()));
        }
        let mut command = command(&["holds", "--json", "--seconds", "600"])?;
        let mut looking = Self(command.stdout(Stdio::piped()).spawn()?);
        let pid = looking.0.id();
        let switch = format!("{TRACING}/instances/kvmrs-{pid}/events/kvmrs_{pid}/enable");
        wait_for("the tool looks", || {
            ensure!(looking.0.try_wait()?.is_none(), "the tool has ended");
            Ok(sysfs::exists(&switch) && sysfs::read(&switch)?.trim() == "1")
        })?;
        Ok(looking)
    }

    /// By Ctrl-C. Returns what it says.
    fn end(mut self) -> Result<Value> {
        self.interrupt()?;
        let mut out = self.0.stdout.take().context("no output")?;
        let mut text = String::new();
        out.read_to_string(&mut text)?;
        let ended = self.0.wait()?;
        ensure!(ended.success(), "it ended with {ended}");
        Ok(serde_json::from_str(&text)?)
    }

    fn interrupt(&self) -> Result<()> {
        // SAFETY: The process has no other parent, and this one has not waited for it yet.
        let failed = unsafe { libc::kill(self.0.id() as i32, libc::SIGINT) };
        ensure!(failed == 0, "kill: {}", Error::last_os_error());
        Ok(())
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let ended = self.interrupt().and_then(|()| Ok(self.0.wait()?));
            eprintln!("# the tool ends early: {ended:?}");
        }
    }
}

/// Time in nanoseconds.
struct Sum {
    holds: u64,
    longest: u64,
}

/// Nothing for a class that is not there.
fn sum(table: &Value, class: &str, mode: &str) -> Result<Sum> {
    let rows = table["classes"].as_array().context("no classes")?;
    let row = rows.iter().find(|row| row["class"] == class);
    let figure = |name: &str| row.map_or(Some(0), |row| row[mode][name].as_u64());
    let figure = |name| figure(name).with_context(|| format!("no {name} in {table}"));
    Ok(Sum {
        holds: figure("holds")?,
        longest: figure("longest_ns")?,
    })
}

fn has_no_probes() -> Result<()> {
    let list = fs::read_to_string(format!("{TRACING}/kprobe_events"))?;
    ensure!(!list.contains(":kvmrs_"), "the tool has left {list}");
    Ok(())
}
