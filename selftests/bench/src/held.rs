// SPDX-License-Identifier: GPL-2.0

//! What the kernel's allocators have given out.

use anyhow::{bail, Context, Result};
use kvmtest::memory::{KIB, PAGE_4K};
use kvmtest::sysfs;
use std::fs;
use std::ops::Sub;
use std::thread::sleep;
use std::time::Duration;

/// Long enough for a grace period: RCU gives back what was freed before.
const SETTLE: Duration = Duration::from_millis(200);
const TRIES: u32 = 50;

/// Bytes at one moment, or between two.
#[derive(Clone, Copy, PartialEq)]
pub struct Held {
    /// Objects of slabs, large ones, vmalloc and per-CPU memory, and page tables of VMs.
    pub all: i64,
    /// Page tables of VMs alone.
    pub tables: i64,
}

impl Held {
    /// Once nothing changes any more: what was freed before may take some time.
    pub fn settled() -> Result<Self> {
        let mut last = Self::now()?;
        for _ in 0..TRIES {
            sleep(SETTLE);
            let now = Self::now()?;
            if now == last {
                return Ok(now);
            }
            last = now;
        }
        bail!("the host's memory changes all the time")
    }

    fn now() -> Result<Self> {
        tidy()?;
        let tables = meminfo("SecPageTables")?;
        let slabs = Slabs::now()?;
        // What is too large for a slab is in no line of slabinfo.
        let large = meminfo("Slab")? - slabs.pages * PAGE_4K as i64;
        let mapped = meminfo("VmallocUsed")? + meminfo("Percpu")?;
        let all = slabs.objects + large + mapped + tables;
        Ok(Self { all, tables })
    }
}

impl Sub for Held {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            all: self.all - before.all,
            tables: self.tables - before.tables,
        }
    }
}

/// Makes the figures exact: a processor keeps free objects in store, which count as objects in use,
/// and part of the counts.
fn tidy() -> Result<()> {
    for cache in fs::read_dir("/sys/kernel/slab")? {
        let shrink = cache?.path().join("shrink");
        fs::write(&shrink, "1").with_context(|| format!("writing {}", shrink.display()))?;
    }
    sysfs::write("/proc/sys/vm/stat_refresh", "1")
}

fn meminfo(name: &str) -> Result<i64> {
    Ok(sysfs::number_in("/proc/meminfo", name)? as i64 * KIB as i64)
}

/// What all lines of /proc/slabinfo say together.
#[derive(Debug, Default, PartialEq)]
struct Slabs {
    /// Bytes of objects that are in use.
    objects: i64,
    /// Pages of slabs.
    pages: i64,
}

impl Slabs {
    fn now() -> Result<Self> {
        Self::of(&sysfs::read("/proc/slabinfo")?)
    }

    fn of(text: &str) -> Result<Self> {
        let mut all = Self::default();
        for line in text.lines().skip(2) {
            let one = Self::of_line(line).with_context(|| format!("slabinfo: '{line}'"))?;
            all.objects += one.objects;
            all.pages += one.pages;
        }
        Ok(all)
    }

    /// name, objects in use, objects, bytes of one, objects in a slab, pages of a slab : ... :
    /// "slabdata", slabs in use, slabs, shared.
    fn of_line(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |index: usize| words.get(index)?.parse::<i64>().ok();
        Some(Self {
            objects: number(1)? * number(3)?,
            pages: number(5)? * number(14)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Slabs;

    #[test]
    fn lines_are_added_up() {
        let text = "slabinfo - version: 2.1\n# name\n\
            one 3 8 100 8 1 : tunables 0 0 0 : slabdata 1 1 0\n\
            two 5 8 1024 4 2 : tunables 0 0 0 : slabdata 2 3 0";
        let slabs = Slabs::of(text).expect("these are lines of slabinfo");
        let (objects, pages) = (3 * 100 + 5 * 1024, 1 + 2 * 3);
        assert_eq!(slabs, Slabs { objects, pages });
        assert!(Slabs::of("\n\none 3 8").is_err());
    }
}
