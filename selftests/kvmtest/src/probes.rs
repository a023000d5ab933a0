// SPDX-License-Identifier: GPL-2.0

//! How often functions of the kernel are called, and in which order, by its kprobes.

use crate::sysfs;
use anyhow::{Context, Result};
use std::fs::{self, OpenOptions};
use std::io::Write as _;

/// The directory of the kernel's tracer.
pub const TRACING: &str = "/sys/kernel/tracing";
const EVENTS: &str = "/sys/kernel/tracing/kprobe_events";
/// What the probes are called, and where they are counted.
const NAME: &str = "kvm_selftest";

/// Whose calls are counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Whose {
    /// Everybody's.
    All,
    /// Those of the thread that asks.
    Mine,
}

/// Probes on some functions. There can be one object of this kind at a time.
#[must_use = "calls are counted until this is dropped"]
pub struct Probes {
    instance: String,
    count: usize,
    filter: Option<String>,
}

impl Probes {
    /// Whether the kernel has what it takes.
    pub fn work_here() -> bool {
        sysfs::exists(EVENTS)
    }

    /// Counts calls of `functions` from now on.
    pub fn new(functions: &[&str], whose: Whose) -> Result<Self> {
        let instance = format!("{TRACING}/instances/{NAME}");
        fs::create_dir(&instance).context("making an instance of the tracer")?;
        let thread = rustix::thread::gettid().as_raw_nonzero();
        let mut probes = Self {
            instance,
            count: 0,
            filter: (whose == Whose::Mine).then(|| format!("common_pid == {thread}")),
        };
        for function in functions {
            add(&format!("p:{NAME}/on{} {function}", probes.count))
                .with_context(|| format!("probing {function}"))?;
            probes.count += 1;
        }
        probes.and(NAME)
    }

    /// Sees the kernel's own `event` as well: a group, or group, slash, name.
    pub fn and(self, event: &str) -> Result<Self> {
        if let Some(filter) = &self.filter {
            self.set(event, "filter", filter)?;
        }
        self.set(event, "enable", "1")?;
        Ok(self)
    }

    fn set(&self, event: &str, file: &str, value: &str) -> Result<()> {
        sysfs::write(&format!("{}/events/{event}/{file}", self.instance), value)
    }

    /// The number of calls so far.
    pub fn calls(&self) -> Result<u64> {
        let mut sum = 0;
        for entry in fs::read_dir(format!("{}/per_cpu", self.instance))? {
            let stats = entry?.path().join("stats");
            let text = fs::read_to_string(&stats)?;
            for name in ["entries", "overrun"] {
                sum += sysfs::number_of(&text, name).unwrap_or(0);
            }
        }
        Ok(sum)
    }

    /// A line for each call so far, in their order. "on0:" is in that of the first function.
    pub fn trace(&self) -> Result<String> {
        Ok(fs::read_to_string(format!("{}/trace", self.instance))?)
    }

    /// How many were under way at the same time at most, if a call of the first function begins one
    /// and a call of the second ends one.
    pub fn most_at_once(&self) -> Result<i32> {
        let is = |line: &str, name: &str| i32::from(line.contains(name));
        let text = self.trace()?;
        let steps = text
            .lines()
            .map(|line| is(line, ": on0: ") - is(line, ": on1: "));
        let counts = steps.scan(0, |count, step| {
            *count += step;
            Some(*count)
        });
        Ok(counts.max().unwrap_or(0))
    }
}

/// Adds a line to the kernel's list of probes.
fn add(line: &str) -> Result<()> {
    let mut list = OpenOptions::new().append(true).open(EVENTS)?;
    Ok(writeln!(list, "{line}")?)
}

impl Drop for Probes {
    fn drop(&mut self) {
        // Events that were never made cannot be switched off.
        let _ = self.set(NAME, "enable", "0");
        let gone = fs::remove_dir(&self.instance);
        gone.expect("nobody else uses the instance");
        for number in 0..self.count {
            add(&format!("-:{NAME}/on{number}")).expect("the probe is off");
        }
    }
}
