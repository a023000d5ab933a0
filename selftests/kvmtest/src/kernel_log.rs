// SPDX-License-Identifier: GPL-2.0

//! What the kernel warns about while a test runs. A warning that userspace can trigger is a bug.

use crate::sysfs;
use anyhow::{Context, Result};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

/// The kernel prints most warnings once. Writing here arms them again.
const ARM: &str = "/sys/kernel/debug/clear_warn_once";
const LOG: &str = "/dev/kmsg";
/// Begins each warning.
const WARNING: &str = "WARNING:";
/// A record is at most this long.
const RECORD: usize = 8192;

/// The kernel's log from a moment on.
pub struct KernelLog(File);

impl KernelLog {
    /// From now on.
    pub fn from_now() -> Result<Self> {
        sysfs::write(ARM, "1")?;
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(LOG)
            .context(LOG)?;
        file.seek(SeekFrom::End(0)).context(LOG)?;
        Ok(Self(file))
    }

    /// The first line of each warning since the last look.
    pub fn warnings(&mut self) -> Result<Vec<String>> {
        let lines = self.lines()?.into_iter();
        Ok(lines.filter(|line| line.starts_with(WARNING)).collect())
    }

    /// The first line of each record since the last look.
    pub fn lines(&mut self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut record = [0; RECORD];
        loop {
            match self.0.read(&mut record) {
                Ok(length) => found.extend(first_line(&record[..length])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(found),
                // Some were overwritten. The next ones are there.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(error) => return Err(error).context(LOG),
            }
        }
    }
}

/// The text of a record: it comes after numbers and a semicolon.
fn first_line(record: &[u8]) -> Option<String> {
    let record = String::from_utf8_lossy(record);
    let (_, text) = record.split_once(';')?;
    text.lines().next().map(String::from)
}

#[cfg(test)]
mod tests {
    use super::first_line;

    #[test]
    fn the_text_is_behind_the_numbers() {
        let record = b"4,700,1234,-;WARNING: virt/kvm/x.c:1 at f; g\n SUBSYSTEM=a\n";
        assert_eq!(
            first_line(record).as_deref(),
            Some("WARNING: virt/kvm/x.c:1 at f; g")
        );
        assert_eq!(first_line(b"4,701,1235,-"), None);
    }
}
