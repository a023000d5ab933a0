// SPDX-License-Identifier: GPL-2.0

//! KVM's binary statistics of a VM or a vCPU.

use crate::ioctls::KVM_GET_STATS_FD;
use anyhow::{ensure, Context, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Error;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;
use vmm_sys_util::ioctl::ioctl;

/// Bytes of the fixed part of a descriptor; the name follows.
const DESCRIPTOR: usize = 16;

/// The statistics of one VM or vCPU, by name.
pub struct Stats {
    file: File,
    /// Name -> offset in the file, and how many numbers there are.
    places: BTreeMap<String, (u64, u64)>,
}

impl Stats {
    /// Of the VM or vCPU behind `fd`.
    pub fn of(fd: &impl AsRawFd) -> Result<Self> {
        // SAFETY: the call takes no argument, and gives a new descriptor or an error.
        let stats = unsafe { ioctl(fd, KVM_GET_STATS_FD()) };
        ensure!(stats >= 0, "KVM_GET_STATS_FD: {}", Error::last_os_error());
        // SAFETY: the descriptor is new, and nobody else's.
        let file = unsafe { File::from_raw_fd(stats) };
        let places = places(&file).context("reading the descriptors of KVM's statistics")?;
        Ok(Self { file, places })
    }

    /// The value right now.
    pub fn get(&self, name: &str) -> Result<u64> {
        self.read(self.place(name)?.0)
    }

    /// The buckets of a histogram right now.
    pub fn buckets(&self, name: &str) -> Result<Vec<u64>> {
        let (place, count) = self.place(name)?;
        let bucket = |index| self.read(place + 8 * index);
        (0..count).map(bucket).collect()
    }

    fn place(&self, name: &str) -> Result<(u64, u64)> {
        let place = self.places.get(name).copied();
        place.with_context(|| format!("KVM has no statistic '{name}'"))
    }

    fn read(&self, place: u64) -> Result<u64> {
        let mut value = [0; 8];
        self.file.read_exact_at(&mut value, place)?;
        Ok(u64::from_le_bytes(value))
    }
}

fn places(file: &File) -> Result<BTreeMap<String, (u64, u64)>> {
    let mut header = [0; 24];
    file.read_exact_at(&mut header, 0)?;
    let field = |index: usize| number(&header[4 * index..][..4]);
    let (name_size, count, descriptors, data) = (field(1), field(2), field(4), field(5));
    let size = DESCRIPTOR + name_size as usize;
    let mut table = vec![0; size * count as usize];
    file.read_exact_at(&mut table, descriptors)?;
    let entry = |descriptor: &[u8]| {
        (
            name(&descriptor[DESCRIPTOR..]),
            (data + number(&descriptor[8..12]), number(&descriptor[6..8])),
        )
    };
    Ok(table.chunks(size).map(entry).collect())
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// The text before the first zero.
fn name(bytes: &[u8]) -> String {
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}
