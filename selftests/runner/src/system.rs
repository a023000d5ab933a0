// SPDX-License-Identifier: GPL-2.0

//! The machine itself: mounts, processes, power.

use anyhow::{ensure, Context, Result};
use kvmtest::probes::TRACING;
use kvmtest::qemu::SHARE;
use kvmtest::sysfs;
use rustix::mount::{mount, mount_bind_recursive, MountFlags};
use rustix::process::{kill_process, wait, Pid, Signal, WaitOptions};
use rustix::system::{reboot, RebootCommand};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs;

/// File systems that programs expect: (kind, place, options).
const BASICS: [(&str, &str, &CStr); 10] = [
    ("proc", "/proc", c""),
    ("sysfs", "/sys", c""),
    ("devtmpfs", "/dev", c""),
    ("devpts", "/dev/pts", c""),
    ("tmpfs", "/dev/shm", c""),
    ("tmpfs", "/tmp", c""),
    ("debugfs", "/sys/kernel/debug", c""),
    ("tracefs", TRACING, c""),
    ("cgroup2", "/sys/fs/cgroup", c""),
    ("hugetlbfs", "/dev/hugepages", c""),
];

/// Mounts what every job needs.
pub fn mount_basics() -> Result<()> {
    for (kind, place, options) in BASICS {
        fs::create_dir_all(place).with_context(|| format!("creating {place}"))?;
        mount(kind, place, kind, MountFlags::empty(), options)
            .with_context(|| format!("mounting {kind} on {place}"))?;
    }
    Ok(())
}

/// Mounts the tools root read-only, with this machine's own /proc, /sys, /dev and /tmp in it.
pub fn mount_share(tag: &str) -> Result<()> {
    fs::create_dir_all(SHARE)?;
    let options = c"trans=virtio,version=9p2000.L,msize=512000,cache=loose";
    mount(tag, SHARE, "9p", MountFlags::RDONLY, options).context("mounting the tools root")?;
    for own in ["proc", "sys", "dev", "tmp"] {
        let place = format!("{SHARE}/{own}");
        mount_bind_recursive(format!("/{own}"), &place)
            .with_context(|| format!("mounting {place}"))?;
    }
    mount(
        "tmpfs",
        format!("{SHARE}/run"),
        "tmpfs",
        MountFlags::empty(),
        c"",
    )?;
    Ok(())
}

/// Writes a setting. Of huge pages, the kernel grants as many as there is memory for in one piece, and
/// a test with fewer of them tests something else.
pub fn set(path: &str, value: &str) -> Result<()> {
    sysfs::write(path, value)?;
    if path.ends_with("/nr_hugepages") {
        let granted = sysfs::read(path)?;
        ensure!(
            granted == value,
            "{path}: {granted} pages were granted, not {value}"
        );
    }
    Ok(())
}

/// Whether /proc/cpuinfo lists this flag.
pub fn cpu_has(flag: &str) -> bool {
    let text = sysfs::read("/proc/cpuinfo").unwrap_or_default();
    text.lines()
        .filter(|line| line.starts_with("flags"))
        .any(|line| line.split_whitespace().any(|word| word == flag))
}

/// What the host script prints about the machine it got.
pub fn facts() -> BTreeMap<&'static str, String> {
    let read = |path| sysfs::read(path).unwrap_or_else(|_| "absent".into());
    BTreeMap::from([
        ("kernel", read("/proc/sys/kernel/osrelease")),
        ("cpus", read("/sys/devices/system/cpu/online")),
        (
            "memory_kb",
            sysfs::number_in("/proc/meminfo", "MemTotal")
                .unwrap_or(0)
                .to_string(),
        ),
        ("npt", read("/sys/module/kvm_amd/parameters/npt")),
        ("ept", read("/sys/module/kvm_intel/parameters/ept")),
        ("eptad", read("/sys/module/kvm_intel/parameters/eptad")),
        ("pml", read("/sys/module/kvm_intel/parameters/pml")),
        ("tdp_mmu", read("/sys/module/kvm/parameters/tdp_mmu")),
        (
            "mmu_backend",
            read("/sys/module/kvm/parameters/mmu_backend"),
        ),
    ])
}

/// Ends every process but this one: what a test left behind must not disturb the next.
pub fn kill_the_rest() {
    for pid in user_processes() {
        let _ = kill_process(pid, Signal::KILL);
    }
    // They are this process's children now, or soon: PID 1 adopts orphans.
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

/// Every process but this one. Kernel threads have no command line; they are left alone.
pub fn user_processes() -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&pid: &i32| pid != 1)
        .filter(|pid| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty()))
        .filter_map(Pid::from_raw)
        .collect()
}

/// Switches the machine off. A machine that stays on hangs, and the host script ends it.
pub fn power_off() -> ! {
    let _ = reboot(RebootCommand::PowerOff);
    loop {
        std::thread::park();
    }
}
