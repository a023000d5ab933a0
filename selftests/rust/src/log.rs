// SPDX-License-Identifier: GPL-2.0

//! Dirty logs: a bit for each page of a slot.

use anyhow::{ensure, Result};
use kvmtest::memory::Backing;
use kvmtest::sysfs;
use kvmtest::vm::{Slot, Vm, LOG_CLEARED_BY_GET};
use std::path::Path;

/// What a log may be kept of: the host's pages, and whether KVM splits huge ones at once.
pub const BACKINGS: [(Backing, bool); 3] = [
    (Backing::Small, false),
    (Backing::Huge, false),
    (Backing::Huge, true),
];

/// Whether the processor writes down what guests write to.
const PML: &str = "/sys/module/kvm_intel/parameters/pml";

/// Whether the processor keeps the log, with the help of dirty bits. Otherwise KVM does by write
/// protection, and each page costs a fault.
pub fn is_kept_by_processor() -> Result<bool> {
    Ok(Path::new(PML).exists() && sysfs::read(PML)? == "Y")
}

/// Gets the log and makes its pages clean; in a `mode` by hand this is done in pieces.
pub fn take(vm: &Vm, slot: &Slot, mode: u64) -> Result<Vec<u64>> {
    let mut log = vm.get_log(slot)?;
    if mode == LOG_CLEARED_BY_GET {
        return Ok(log);
    }
    let count = log.len();
    for (start, end) in [(0, 1), (1, count / 2), (count / 2, count)] {
        let pages = (end - start) as u64 * 64;
        vm.clear_log(slot, start as u64 * 64, pages, &mut log[start..end])?;
    }
    Ok(log)
}

/// The pages in a log.
pub fn pages(log: &[u64]) -> Vec<u64> {
    let all = 0..64 * log.len() as u64;
    all.filter(|page| (log[*page as usize / 64] >> (page % 64)) & 1 != 0)
        .collect()
}

/// The log of a slot of `size` pages that has the pages of `dirty`.
pub fn of(size: u64, dirty: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut log = vec![0; size as usize / 64];
    for page in dirty {
        log[page as usize / 64] |= 1 << (page % 64);
    }
    log
}

/// Fails unless `log` has what was written, and nothing else.
pub fn is_exactly(log: &[u64], wrote: &[u64]) -> Result<()> {
    assert_eq!(log.len(), wrote.len());
    let both = || log.iter().zip(wrote);
    let missing: u32 = both().map(|(log, wrote)| (wrote & !log).count_ones()).sum();
    let extra: u32 = both().map(|(log, wrote)| (log & !wrote).count_ones()).sum();
    ensure!(
        missing + extra == 0,
        "the log lacks {missing} pages, and has {extra} too many"
    );
    Ok(())
}
