// SPDX-License-Identifier: GPL-2.0

//! Probes on the kernel's functions that take and drop rwlocks.
//!
//! They are for everybody's rwlocks. KVM's `mmu_lock` is the first thing in `struct kvm`, which is larger than
//! a page and so begins with one. The address of nearly no other rwlock does, and so nearly no other writes an
//! event.

use super::Mode;
use crate::instance::{is_abandoned, no_root};
use anyhow::{anyhow, ensure, Error, Result};
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;

/// The kernel's list of probes.
const LIST: &str = "kprobe_events";

/// What groups of probes are called, before the number of the process that listens.
const GROUP: &str = "kvmrs_";

/// An event.
pub struct Event {
    /// Its name.
    pub name: &'static str,
    /// Whether a hold begins there.
    pub begins: bool,
    /// In which way.
    pub mode: Mode,
    function: &'static str,
    /// Which of them count.
    filter: &'static str,
}

const ALIGNED: &str = "!(lock & 4095)";
const ALIGNED_AND_TAKEN: &str = "taken != 0 && !(lock & 4095)";

/// All of them.
pub const EVENTS: [Event; 6] = [
    begin("read_begin", Mode::Read, "_raw_read_lock"),
    begin_if_taken("read_try", Mode::Read, "_raw_read_trylock"),
    end("read_end", Mode::Read, "_raw_read_unlock"),
    begin("write_begin", Mode::Write, "_raw_write_lock"),
    begin_if_taken("write_try", Mode::Write, "_raw_write_trylock"),
    end("write_end", Mode::Write, "_raw_write_unlock"),
];

const fn begin(name: &'static str, mode: Mode, function: &'static str) -> Event {
    Event {
        name,
        begins: true,
        mode,
        function,
        filter: ALIGNED,
    }
}

const fn begin_if_taken(name: &'static str, mode: Mode, function: &'static str) -> Event {
    Event {
        filter: ALIGNED_AND_TAKEN,
        ..begin(name, mode, function)
    }
}

const fn end(name: &'static str, mode: Mode, function: &'static str) -> Event {
    Event {
        begins: false,
        ..begin(name, mode, function)
    }
}

impl Event {
    /// As the kernel's list has it. A hold begins when the function returns.
    fn line(&self, group: &str) -> String {
        let kind = if self.begins { 'r' } else { 'p' };
        let taken = if self.filter == ALIGNED_AND_TAKEN {
            " taken=$retval:s32"
        } else {
            ""
        };
        let Self { name, function, .. } = self;
        format!("{kind}:{group}/{name} {function} lock=$arg1:x64{taken}")
    }
}

/// The probes. They go when this goes, but nobody may listen any more then.
pub struct Probes {
    list: PathBuf,
    group: String,
    /// How many of them there are already.
    count: usize,
}

impl Probes {
    /// None yet.
    pub fn none(tracefs: &Path) -> Result<Self> {
        let list = tracefs.join(LIST);
        // Whoever may not see the one sees neither, and has no tracer.
        ensure!(
            list.exists() || !tracefs.join("events").exists(),
            "the kernel has no kprobe events: it needs CONFIG_KPROBE_EVENTS"
        );
        Ok(Self {
            list,
            group: format!("{GROUP}{}", process::id()),
            count: 0,
        })
    }

    /// Makes all.
    pub fn make(&mut self) -> Result<()> {
        for event in &EVENTS {
            let made = add(&self.list, &event.line(&self.group));
            made.map_err(|error| explain(event.function, error))?;
            self.count += 1;
        }
        Ok(())
    }

    /// Files of an instance of the tracer, and what has to be in them so that it hears the probes.
    pub fn switches(&self) -> Vec<(String, &'static str)> {
        let folder = format!("events/{}", self.group);
        let filter = |event: &Event| (format!("{folder}/{}/filter", event.name), event.filter);
        let all = (format!("{folder}/enable"), "1");
        EVENTS.iter().map(filter).chain([all]).collect()
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        for Event { name, .. } in &EVENTS[..self.count] {
            let removed = add(&self.list, &format!("-:{}/{name}", self.group));
            if let Err(error) = removed {
                eprintln!("kvmrs: removing the probe {}/{name}: {error}", self.group);
            }
        }
    }
}

/// Removes the probes of those who were killed, and whose instances are gone.
pub fn remove_abandoned(tracefs: &Path) {
    let path = tracefs.join(LIST);
    let list = fs::read_to_string(&path).unwrap_or_default();
    for name in list.lines().filter_map(abandoned) {
        // Somebody else may do the same.
        let _ = add(&path, &format!("-:{name}"));
    }
}

/// Group and name of the probe in a line of the list, if its process has ended.
pub fn abandoned(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(':')?;
    let name = rest.split(' ').next()?;
    let (group, _) = name.split_once('/')?;
    is_abandoned(group, GROUP).then_some(name)
}

/// Opened to append, because to write it from its begin removes all that is there.
fn add(list: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).open(list)?;
    file.write_all(format!("{line}\n").as_bytes())
}

/// The list is there, so what is not found is a function.
fn explain(function: &str, error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::PermissionDenied => no_root(),
        _ => anyhow!(
            "{function} cannot be probed ({error}): the kernel has it inline, as without preemption, \
             or is older than Linux 6.9"
        ),
    }
}
