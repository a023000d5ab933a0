// SPDX-License-Identifier: GPL-2.0

//! Where a thread runs, and before whom.

use anyhow::{ensure, Result};
use std::io::Error;
use std::mem::zeroed;

/// The processor that this thread is on.
pub fn here() -> Result<usize> {
    // SAFETY: the call takes no pointer.
    let here = unsafe { libc::sched_getcpu() };
    ensure!(here >= 0, "sched_getcpu: {}", Error::last_os_error());
    Ok(here as usize)
}

/// The processors that this thread may be on.
pub fn allowed() -> Result<Vec<usize>> {
    // SAFETY: all zeros is a set without processors.
    let mut cpus: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: the set is of the size that is given.
    let failed = unsafe { libc::sched_getaffinity(0, size_of_val(&cpus), &mut cpus) };
    ensure!(failed == 0, "sched_getaffinity: {}", Error::last_os_error());
    // SAFETY: numbers below the size of the set.
    let is_set = |&cpu: &usize| unsafe { libc::CPU_ISSET(cpu, &cpus) };
    Ok((0..libc::CPU_SETSIZE as usize).filter(is_set).collect())
}

/// Keeps this thread, and those that it starts from now on, on one processor.
pub fn stay_on(cpu: usize) -> Result<()> {
    // SAFETY: all zeros is a set without processors.
    let mut cpus: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: the number of a processor that exists is in the set.
    unsafe { libc::CPU_SET(cpu, &mut cpus) };
    // SAFETY: the set is of the size that is given.
    let failed = unsafe { libc::sched_setaffinity(0, size_of_val(&cpus), &cpus) };
    ensure!(failed == 0, "sched_setaffinity: {}", Error::last_os_error());
    Ok(())
}

/// From now on this thread, and those that it starts, go before all ordinary ones, and before those
/// of a lower priority.
pub fn go_first(priority: i32) -> Result<()> {
    // SAFETY: all zeros is a priority of 0.
    let mut param: libc::sched_param = unsafe { zeroed() };
    param.sched_priority = priority;
    // SAFETY: the kernel reads the priority, and nothing else.
    let failed = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &param) };
    ensure!(
        failed == 0,
        "sched_setscheduler: {}",
        Error::last_os_error()
    );
    Ok(())
}
