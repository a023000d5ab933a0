// SPDX-License-Identifier: GPL-2.0

//! A machine in which nothing happens by itself: what happens to one VM happens to the other.

use crate::swap::Swap;
use anyhow::Result;
use kvmtest::cpu;
use kvmtest::sysfs::{self, Setting, EAGER_SPLIT, NX_HUGE_PAGES, NX_RATIO};

/// Recovery, merging, balancing, compaction and khugepaged do nothing. All get their old value back.
const SETTINGS: [(&str, &str); 8] = [
    (NX_RATIO, "0"),
    ("/sys/kernel/mm/ksm/run", "0"),
    ("/proc/sys/kernel/numa_balancing", "0"),
    ("/proc/sys/vm/compaction_proactiveness", "0"),
    (
        "/sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_none",
        "0",
    ),
    (
        "/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs",
        "4294967295",
    ),
    (NX_HUGE_PAGES, "off"),
    (EAGER_SPLIT, "Y"),
];

/// The machine as long as this lives.
pub struct Quiet {
    _swap: Swap,
    _settings: Vec<Setting>,
}

impl Quiet {
    /// Swap is only used when a history asks for it: memory is plenty.
    pub fn new() -> Result<Self> {
        stay_and_go_first()?;
        Ok(Self {
            _settings: Setting::all(&SETTINGS)?,
            _swap: Swap::on()?,
        })
    }
}

/// Every history begins with these.
pub fn reset() -> Result<()> {
    sysfs::write(NX_HUGE_PAGES, "off")?;
    sysfs::write(EAGER_SPLIT, "Y")
}

/// Keeps this thread on its processor, before all ordinary ones: where others want to run, walks of
/// page tables give way at moments that a history does not repeat.
fn stay_and_go_first() -> Result<()> {
    cpu::stay_on(cpu::here()?)?;
    cpu::go_first(1)
}
