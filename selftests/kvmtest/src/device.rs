// SPDX-License-Identifier: GPL-2.0

//! The memory of a PCI device. The kernel has no `struct page` for its frames, as it has none for memory that an
//! operator keeps from it (`mem=`) to give it to guests.

use crate::memory::MIB;
use crate::sysfs;
use anyhow::{Context, Result};
use std::fs::{self, OpenOptions};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;

const DEVICES: &str = "/sys/bus/pci/devices";
/// A line for each thing that the kernel has mapped for itself.
const MAPPED: &str = "/proc/vmallocinfo";
/// Of a resource: it is memory, and reading it does nothing else.
const MEMORY: u64 = 0x200 | 0x2000;
/// More than a register's: somewhere to keep something.
const LEAST: u64 = MIB;

/// The memory of a device that no driver uses.
pub struct Device {
    /// What to map.
    pub file: OwnedFd,
    /// Where it is, in the host's physical memory.
    bytes: Range<u64>,
}

impl Device {
    /// One that this machine has.
    pub fn find() -> Result<Option<Self>> {
        let Ok(devices) = fs::read_dir(DEVICES) else {
            return Ok(None);
        };
        for device in devices {
            let device = device?.path();
            if device.join("driver").exists() {
                continue;
            }
            if let Some((number, bytes)) = memory_of(&device)? {
                return Self::open(&device, number, bytes).map(Some);
            }
        }
        Ok(None)
    }

    fn open(device: &Path, number: usize, bytes: Range<u64>) -> Result<Self> {
        sysfs::write(&device.join("enable").to_string_lossy(), "1")?;
        let path = device.join(format!("resource{number}"));
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.with_context(|| format!("opening {}", path.display()))?;
        Ok(Self {
            file: file.into(),
            bytes,
        })
    }

    /// How many mappings of the kernel's own lead there.
    pub fn mapped_by_kernel(&self) -> Result<usize> {
        let all = sysfs::read(MAPPED)?;
        let places = all.lines().filter_map(|line| {
            let place = line.split_once("phys=")?.1.split_whitespace().next()?;
            hexadecimal(place)
        });
        Ok(places.filter(|place| self.bytes.contains(place)).count())
    }
}

/// The number of a resource that is memory, and where that lies.
fn memory_of(device: &Path) -> Result<Option<(usize, Range<u64>)>> {
    let resources = sysfs::read(&device.join("resource").to_string_lossy())?;
    let mut numbered = resources.lines().enumerate();
    Ok(numbered.find_map(|(number, line)| {
        let mut words = line.split_whitespace().map(hexadecimal);
        let (start, last, flags) = (words.next()??, words.next()??, words.next()??);
        let fits = flags & MEMORY == MEMORY && last - start >= LEAST - 1;
        fits.then_some((number, start..last + 1))
    }))
}

fn hexadecimal(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}
