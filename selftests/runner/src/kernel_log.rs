// SPDX-License-Identifier: GPL-2.0

//! What the kernel said since a moment.

use anyhow::{bail, Context, Result};
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

/// Reads messages from the moment it was opened.
pub struct KernelLog(File);

impl KernelLog {
    /// Starts here: earlier messages are not seen.
    pub fn open() -> Result<Self> {
        let mut log = Self::since_boot()?;
        log.0
            .seek(SeekFrom::End(0))
            .context("going to the end of the kernel log")?;
        Ok(log)
    }

    /// Starts with the first message.
    pub fn since_boot() -> Result<Self> {
        let flags = OFlags::NONBLOCK.bits() as i32;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open("/dev/kmsg")?;
        Ok(Self(file))
    }

    /// Demands a message with this text among the new ones.
    pub fn expect(&mut self, text: &str) -> Result<()> {
        self.line_with(text).map(drop)
    }

    /// The first of the new messages that has this text, without what precedes the text.
    pub fn line_with(&mut self, text: &str) -> Result<String> {
        let seen = self.rest();
        match seen
            .lines()
            .find_map(|line| Some(&line[line.find(text)?..]))
        {
            Some(line) => Ok(line.to_string()),
            None => bail!("the kernel log does not say '{text}', but: {}", seen.trim()),
        }
    }

    /// How many of the new messages have this text.
    pub fn count(&mut self, text: &str) -> usize {
        self.rest()
            .lines()
            .filter(|line| line.contains(text))
            .count()
    }

    fn rest(&mut self) -> String {
        let mut seen = String::new();
        let mut record = [0; 8192];
        // One read is one message; "no more" is an error of a descriptor that does not block.
        while let Ok(length @ 1..) = self.0.read(&mut record) {
            seen.push_str(&String::from_utf8_lossy(&record[..length]));
        }
        seen
    }
}
