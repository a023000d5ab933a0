// SPDX-License-Identifier: GPL-2.0

//! KVM's directory in debugfs: what all VMs together have.

use crate::sysfs;
use anyhow::Result;

/// The directory. It has one of its own for each VM.
pub const ROOT: &str = "/sys/kernel/debug/kvm";

/// The sizes of pages, in the names of KVM's figures.
pub const PAGES: [&str; 3] = ["pages_4k", "pages_2m", "pages_1g"];

/// The path of a file in the directory.
pub fn file(name: &str) -> String {
    format!("{ROOT}/{name}")
}

/// What VMs hold of the host's memory, all together.
#[derive(Debug, PartialEq)]
pub struct Held {
    /// Mapped pages of each size, in the order of [`PAGES`].
    pub pages: [u64; 3],
    /// Page tables, in KiB.
    pub tables: u64,
}

/// What they hold right now.
pub fn held() -> Result<Held> {
    let [small, huge, gigantic] = PAGES.map(|name| sysfs::number(&file(name)));
    Ok(Held {
        pages: [small?, huge?, gigantic?],
        tables: sysfs::number_in("/proc/meminfo", "SecPageTables")?,
    })
}
