// SPDX-License-Identifier: GPL-2.0

//! What happens to the whole machine: swap, merging, balancing, reclaim, compaction.

use crate::swap::Swap;
use anyhow::{Context, Result};
use kvmtest::sysfs::{self, Setting, MERGING_AND_MOVING, NX_HUGE_PAGES, NX_PERIOD};
use std::fs;
use std::io::ErrorKind;

const GROUP: &str = "/sys/fs/cgroup/kvmrs-stress";

/// All get their old value back.
const SETTINGS: [(&str, &str); 2] = [(NX_PERIOD, "100"), (NX_HUGE_PAGES, "off")];

/// What the kernel counts, and the run has to have caused: otherwise it was no such run.
const EFFECTS: [(&str, &str); 8] = [
    ("pages swapped out", "pswpout"),
    ("pages swapped in", "pswpin"),
    ("pages migrated", "pgmigrate_success"),
    ("huge pages made", "thp_collapse_alloc"),
    ("huge pages split", "thp_split_pmd"),
    ("hints for NUMA balancing", "numa_hint_faults"),
    ("pages moved by it", "numa_pages_migrated"),
    ("merged pages copied", "cow_ksm"),
];
/// So many of these, the first ones, have to happen even in a short run. The others take some luck: threads of the
/// kernel have to come by in time.
const LEAST: usize = 6;

/// The machine as the stress needs it. Everything is put back in the end.
pub struct Prepared {
    _swap: Swap,
    _settings: Vec<Setting>,
    before: Vec<u64>,
}

impl Prepared {
    /// Switches everything on.
    pub fn new() -> Result<Self> {
        let swap = Swap::on()?;
        enter_group()?;
        Ok(Self {
            _swap: swap,
            _settings: Setting::all(&[&MERGING_AND_MOVING[..], &SETTINGS].concat())?,
            before: counts()?,
        })
    }

    /// What happened since: (what, how often).
    pub fn effects(&self) -> Result<Vec<(&'static str, u64)>> {
        let now = counts()?;
        let since = now
            .iter()
            .zip(&self.before)
            .map(|(now, before)| now - before);
        Ok(EFFECTS.iter().map(|(what, _)| *what).zip(since).collect())
    }

    /// Whether the least that a run is for has happened.
    pub fn is_enough(&self) -> Result<bool> {
        Ok(self.effects()?[..LEAST].iter().all(|(_, count)| *count > 0))
    }
}

/// A group of our own, from which memory can be reclaimed without any lack of it.
fn enter_group() -> Result<()> {
    sysfs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory")?;
    fs::create_dir_all(GROUP).with_context(|| format!("making {GROUP}"))?;
    sysfs::write(&format!("{GROUP}/cgroup.procs"), "0")
}

/// Has the kernel look for pages that are not used, and swap them out.
pub fn reclaim(bytes: u64) -> Result<()> {
    match fs::write(format!("{GROUP}/memory.reclaim"), bytes.to_string()) {
        // It found less than that.
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        other => other.context("reclaiming memory"),
    }
}

/// Has the kernel move pages together.
pub fn compact() -> Result<()> {
    sysfs::write("/proc/sys/vm/compact_memory", "1")
}

/// Has KVM drop the page tables of all VMs.
pub fn zap_everything(nx: bool) -> Result<()> {
    sysfs::write(NX_HUGE_PAGES, if nx { "force" } else { "off" })
}

fn counts() -> Result<Vec<u64>> {
    let text = sysfs::read("/proc/vmstat")?;
    let count = |name: &str| {
        sysfs::number_of(&text, name).with_context(|| format!("/proc/vmstat has no {name}"))
    };
    EFFECTS.iter().map(|(_, name)| count(name)).collect()
}
