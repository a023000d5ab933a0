// SPDX-License-Identifier: GPL-2.0

//! The files that show a VM's page tables, and what is wrong with them.

use crate::{backend, debugfs};
use anyhow::{ensure, Result};
use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::fd::AsRawFd;

/// Begins the line that says that a VM changes too fast to be checked.
const BUSY: &str = "busy: ";

/// The directory of one VM in debugfs.
#[derive(Clone, Debug)]
pub struct Inside(String);

impl Inside {
    /// Of the VM behind `fd`, which the current thread has just made.
    pub fn of(fd: &impl AsRawFd) -> Self {
        // KVM names the directory after the thread.
        let thread = rustix::thread::gettid().as_raw_nonzero();
        Self(debugfs::file(&format!("{thread}-{}", fd.as_raw_fd())))
    }

    /// Of the only VM that process `pid` made with its first thread.
    pub fn of_process(pid: u32) -> Result<Self> {
        let prefix = format!("{pid}-");
        let entries: Vec<_> = std::fs::read_dir(debugfs::ROOT)?.collect::<Result<_, _>>()?;
        let mut names = entries
            .iter()
            .filter_map(|entry| entry.file_name().into_string().ok());
        let name = names.find(|name| name.starts_with(&prefix));
        ensure!(name.is_some(), "process {pid} has no VM");
        Ok(Self(debugfs::file(&name.unwrap_or_default())))
    }

    /// The name of the directory.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The path of a file there.
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.0)
    }

    /// Opens the map of the page tables. Fails with `ENODEV` without a backend.
    pub fn open_map(&self) -> std::io::Result<File> {
        File::open(self.path("mmu_map"))
    }

    /// The map, a line for each root and for each [`Run`].
    pub fn map(&self) -> Result<Vec<String>> {
        let mut text = String::new();
        self.open_map()?.read_to_string(&mut text)?;
        Ok(text.lines().map(str::to_string).collect())
    }

    /// What is wrong with the tables. `None` if no backend is registered, or can be, which could tell.
    pub fn wrong(&self) -> Result<Option<Vec<String>>> {
        if !backend::selectable() {
            return Ok(None);
        }
        let mut file = match File::open(self.path("mmu_check")) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(None),
            opened => opened?,
        };
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let lines = text.lines().filter(|line| !line.starts_with(BUSY));
        Ok(Some(lines.map(str::to_string).collect()))
    }

    /// Nothing is wrong, as far as can be told.
    pub fn is_sound(&self) -> Result<()> {
        let wrong = self.wrong()?.unwrap_or_default();
        ensure!(wrong.is_empty(), "mmu_check: {}", wrong.join("; "));
        Ok(())
    }
}

/// A line of the map that maps something: entries in a row that map alike (docs/inside.md).
#[derive(Debug, PartialEq)]
pub struct Run {
    /// Frames of the guest.
    pub frames: Range<u64>,
    /// The name of the size of one entry.
    pub size: String,
    /// Number of entries.
    pub count: u64,
    /// What they let the guest do, and what is known of them.
    pub bits: String,
}

impl Run {
    /// `None` for a line that maps nothing.
    pub fn of(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [frames, size, count, bits] = words[..] else {
            return None;
        };
        let (first, last) = frames.strip_prefix("0x")?.split_once("-0x")?;
        let frame = |digits| u64::from_str_radix(digits, 16).ok();
        Some(Self {
            frames: frame(first)?..frame(last)? + 1,
            size: size.into(),
            count: count.parse().ok()?,
            bits: bits.into(),
        })
    }

    /// The guest can write.
    pub fn is_writable(&self) -> bool {
        self.bits.contains('W')
    }
}

impl Display for Run {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            size, count, bits, ..
        } = self;
        let Range { start, end } = self.frames;
        write!(to, "{start:#x}-{:#x} {size} {count} {bits}", end - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::Run;

    #[test]
    fn a_run_is_read_and_written_alike() {
        let run = Run::of("  0x40000-0x401ff 4K 512 R-XADMH").expect("a line of the map");
        assert_eq!(run.frames, 0x40000..0x40200);
        assert_eq!((run.size.as_str(), run.count), ("4K", 512));
        assert!(!run.is_writable());
        assert_eq!(run.to_string(), "0x40000-0x401ff 4K 512 R-XADMH");
    }

    #[test]
    fn other_lines_are_no_runs() {
        for line in [
            "root level=5 as_id=0 role=0x5",
            "  0x4-0x1ff absent",
            "0x0-0x0 4K one RWX",
        ] {
            assert_eq!(Run::of(line), None);
        }
    }
}
