// SPDX-License-Identifier: GPL-2.0

//! KVM's figures of one VM, from its directory in debugfs.

use anyhow::{Context, Result};
use kvmtest::debugfs::ROOT;
use kvmtest::sysfs;
use std::collections::BTreeMap;
use std::fs;

/// Figures with a file each.
const NAMES: [&str; 7] = [
    "pages_4k",
    "pages_2m",
    "pages_1g",
    "pf_taken",
    "pf_fixed",
    "pf_fast",
    "remote_tlb_flush",
];
/// Those that share a file.
const SHARED: [&str; 2] = ["mmu_notifier_invalidations", "mmu_notifier_elided"];

/// A VM's figures at one moment.
pub struct Figures(pub BTreeMap<&'static str, u64>);

impl Figures {
    /// How often the host has taken away memory of the guest's.
    pub fn taken(&self) -> u64 {
        self.0["mmu_notifier_invalidations"] - self.0["mmu_notifier_elided"]
    }

    /// How often the guest has got a page from it.
    pub fn given(&self) -> u64 {
        self.0["pf_fixed"]
    }

    /// How many 2M pages are mapped.
    pub fn huge(&self) -> u64 {
        self.0["pages_2m"]
    }
}

/// Where the figures of a VM are.
pub struct Vm {
    folder: String,
}

impl Vm {
    /// The VM that a process has, if it has one yet; KVM names the directory after it.
    pub fn of_process(pid: u32) -> Result<Option<Self>> {
        let prefix = format!("{pid}-");
        let entries = fs::read_dir(ROOT).with_context(|| format!("reading {ROOT}"))?;
        Ok(entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .find(|name| name.starts_with(&prefix))
            .map(|name| Self {
                folder: format!("{ROOT}/{name}"),
            }))
    }

    /// The figures now.
    pub fn figures(&self) -> Result<Figures> {
        let file = |name| format!("{}/{name}", self.folder);
        let own = NAMES
            .into_iter()
            .map(|name| Ok((name, sysfs::number(&file(name))?)));
        let stats = file("mmu_stats");
        let shared = SHARED
            .into_iter()
            .map(|name| Ok((name, sysfs::number_in(&stats, name)?)));
        Ok(Figures(own.chain(shared).collect::<Result<_>>()?))
    }
}
