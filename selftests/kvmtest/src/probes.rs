// SPDX-License-Identifier: GPL-2.0

//! How often functions of the kernel are called, and in which order, by its kprobes.

use crate::sysfs;
use anyhow::{Context, Result};
use std::fs::{self, OpenOptions};
use std::io::Write as _;

/// The directory of the kernel's tracer.
pub const TRACING: &str = "/sys/kernel/tracing";
const EVENTS: &str = "/sys/kernel/tracing/kprobe_events";
const SYMBOLS: &str = "/proc/kallsyms";
/// What the probes are called, and where they are counted.
const NAME: &str = "kvm_selftest";

/// Whose calls are counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Whose {
    /// Everybody's.
    All,
    /// Those of the thread that asks.
    Mine,
    /// Those of the functions there.
    Of(Code),
}

impl Whose {
    /// As a condition of the tracer's.
    fn filter(self) -> Option<String> {
        match self {
            Self::All => None,
            Self::Mine => Some(format!(
                "common_pid == {}",
                rustix::thread::gettid().as_raw_nonzero()
            )),
            Self::Of(Code { start, end }) => {
                Some(format!("caller >= {start:#x} && caller < {end:#x}"))
            }
        }
    }
}

/// Functions of a module that follow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Code {
    start: u64,
    end: u64,
}

impl Code {
    /// From the first function of `module` whose name begins so to the last one, without the latter.
    pub fn of(module: &str, begin: &str) -> Result<Self> {
        let text = sysfs::read(SYMBOLS)?;
        let places = text
            .lines()
            .filter_map(|line| place_of(line, module, begin));
        let places: Vec<u64> = places.collect();
        let both = places.iter().min().zip(places.iter().max());
        let (&start, &end) = both.with_context(|| format!("{module} has no {begin}*"))?;
        Ok(Self { start, end })
    }
}

/// Address, kind, name, module in brackets. Functions are of the kind "t".
fn place_of(line: &str, module: &str, begin: &str) -> Option<u64> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [address, kind, name, owner] = words[..] else {
        return None;
    };
    let wanted = kind.eq_ignore_ascii_case("t") && name.starts_with(begin);
    let wanted = wanted && owner.trim_matches(['[', ']']) == module;
    u64::from_str_radix(address, 16).ok().filter(|_| wanted)
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
        let mut probes = Self {
            instance,
            count: 0,
            filter: whose.filter(),
        };
        for function in functions {
            // The address that the function returns to is the first thing on the stack.
            let caller = if matches!(whose, Whose::Of(_)) {
                "caller=$stack0:x64"
            } else {
                ""
            };
            add(&format!("p:{NAME}/on{} {function} {caller}", probes.count))
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

    /// The same, where it fulfils `condition`.
    pub fn and_if(self, event: &str, condition: &str) -> Result<Self> {
        self.set(event, "filter", condition)?;
        self.set(event, "enable", "1")?;
        Ok(self)
    }

    /// Keeps so many KiB for each processor.
    pub fn with_room(self, kib: u32) -> Result<Self> {
        let file = format!("{}/buffer_size_kb", self.instance);
        sysfs::write(&file, &kib.to_string())?;
        Ok(self)
    }

    fn set(&self, event: &str, file: &str, value: &str) -> Result<()> {
        sysfs::write(&format!("{}/events/{event}/{file}", self.instance), value)
    }

    /// The number of calls so far.
    pub fn calls(&self) -> Result<u64> {
        Ok(self.figure("entries")? + self.lost()?)
    }

    /// How many of them there was no room for.
    pub fn lost(&self) -> Result<u64> {
        self.figure("overrun")
    }

    /// Of all processors together.
    fn figure(&self, name: &str) -> Result<u64> {
        let mut sum = 0;
        for entry in fs::read_dir(format!("{}/per_cpu", self.instance))? {
            let text = fs::read_to_string(entry?.path().join("stats"))?;
            sum += sysfs::number_of(&text, name).unwrap_or(0);
        }
        Ok(sum)
    }

    /// The number of calls of each function so far.
    pub fn each(&self) -> Result<Vec<usize>> {
        let text = self.trace()?;
        let calls = |number| text.matches(&format!(": on{number}: ")).count();
        Ok((0..self.count).map(calls).collect())
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

#[cfg(test)]
mod tests {
    use super::place_of;

    #[test]
    fn lines_of_the_kernels_symbols_are_read() {
        let place = |line| place_of(line, "kvm", "kvm_xen_");
        assert_eq!(
            place("00000000000000f0 t kvm_xen_start_timer\t[kvm]"),
            Some(0xf0)
        );
        assert_eq!(
            place("00000000000000f0 T kvm_xen_hypercall\t[kvm]"),
            Some(0xf0)
        );
        for other in [
            "00000000000000f0 b kvm_xen_enabled\t[kvm]",
            "00000000000000f0 t kvm_xen_helper\t[kvm_rs]",
            "00000000000000f0 t xen_timer_callback\t[kvm]",
            "00000000000000f0 T kvm_xen_hypercall",
        ] {
            assert_eq!(place(other), None);
        }
    }
}
