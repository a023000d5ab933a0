// SPDX-License-Identifier: GPL-2.0

//! A machine in which nothing happens by itself: what happens to one VM happens to the other.

use crate::swap::Swap;
use anyhow::{ensure, Result};
use kvmtest::sysfs::{self, Setting, EAGER_SPLIT, NX_HUGE_PAGES, NX_RATIO};
use std::io::Error;

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
    // SAFETY: all zeros is a set without processors, and a priority of 0.
    let (mut cpus, mut priority): (libc::cpu_set_t, libc::sched_param) =
        unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    // SAFETY: the call takes no pointer.
    let here = unsafe { libc::sched_getcpu() };
    ensure!(here >= 0, "sched_getcpu: {}", Error::last_os_error());
    // SAFETY: the number of a processor that exists is in the set.
    unsafe { libc::CPU_SET(here as usize, &mut cpus) };
    // SAFETY: the set is of the size that is given.
    let failed = unsafe { libc::sched_setaffinity(0, size_of_val(&cpus), &cpus) };
    ensure!(failed == 0, "sched_setaffinity: {}", Error::last_os_error());
    priority.sched_priority = 1;
    // SAFETY: the kernel reads the priority, and nothing else.
    let failed = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &priority) };
    ensure!(
        failed == 0,
        "sched_setscheduler: {}",
        Error::last_os_error()
    );
    Ok(())
}
