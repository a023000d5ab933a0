// SPDX-License-Identifier: GPL-2.0

//! A place to which the kernel can swap: compressed memory.

use anyhow::{ensure, Context, Result};
use kvmtest::sysfs;
use std::io::Error;
use std::process::Command;

const DEVICE: &str = "/dev/zram0";
const ZRAM: &str = "/sys/block/zram0";
const SIZE: &str = "256M";

/// Swap is there for as long as this lives.
#[must_use = "swap is off again when this is dropped"]
pub struct Swap;

impl Swap {
    /// Makes the device, and switches it on.
    pub fn on() -> Result<Self> {
        sysfs::write(&format!("{ZRAM}/disksize"), SIZE)?;
        let made = Command::new("mkswap")
            .arg(DEVICE)
            .output()
            .context("starting mkswap")?;
        ensure!(
            made.status.success(),
            "mkswap {DEVICE}: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        // SAFETY: the path is a string with an end; a swap device is nobody's memory.
        let failed = unsafe { libc::swapon(c"/dev/zram0".as_ptr(), 0) };
        ensure!(failed == 0, "swapon {DEVICE}: {}", Error::last_os_error());
        Ok(Self)
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        // SAFETY: the path is a string with an end; the pages come back to their processes.
        let failed = unsafe { libc::swapoff(c"/dev/zram0".as_ptr()) };
        if failed != 0 {
            eprintln!("# swapoff {DEVICE}: {}", Error::last_os_error());
        }
        if let Err(error) = sysfs::write(&format!("{ZRAM}/reset"), "1") {
            eprintln!("# {error:#}");
        }
    }
}
