// SPDX-License-Identifier: GPL-2.0

//! The disk, through the page cache.

use crate::pattern;
use anyhow::{ensure, Context, Result};
use kvmtest::sysfs;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};

const DROP: &str = "/proc/sys/vm/drop_caches";
const CHUNK: usize = 1 << 20;
/// So many chunks are written and checked; all others are only read.
const WRITTEN: usize = 8;
const WORDS: usize = CHUNK / size_of::<u64>();

/// Writes, drops the caches, reads back and checks, then reads on to the end of the disk.
/// Returns how many bytes were read.
pub fn work(path: &str, round: u64) -> Result<usize> {
    let mut disk = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .with_context(|| format!("opening {path}"))?;
    for chunk in 0..WRITTEN {
        disk.write_all(&pattern::bytes(round, chunk * WORDS, WORDS))?;
    }
    disk.sync_all().context("writing to the disk")?;
    sysfs::write(DROP, "3")?;

    disk.seek(SeekFrom::Start(0))?;
    let mut buffer = vec![0; CHUNK];
    for chunk in 0..WRITTEN {
        disk.read_exact(&mut buffer)?;
        ensure!(
            buffer == pattern::bytes(round, chunk * WORDS, WORDS),
            "the disk gave back something else than was written"
        );
    }
    Ok(WRITTEN * CHUNK + rest(&mut disk, &mut buffer)?)
}

fn rest(disk: &mut File, buffer: &mut [u8]) -> Result<usize> {
    let mut total = 0;
    loop {
        match disk.read(buffer).context("reading the disk")? {
            0 => return Ok(total),
            bytes => total += bytes,
        }
    }
}
