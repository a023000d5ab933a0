// SPDX-License-Identifier: GPL-2.0

//! QEMU with the guest, and what the guest says on its serial line.

use crate::child;
use crate::events::{emit, Event};
use crate::job::Demo;
use anyhow::{ensure, Error, Result};
use kvmtest::qemu::{self, Qemu};
use std::fs::File;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// What the guest's own program says starts with this.
const PREFIX: &str = "guest: ";
const TAIL: usize = 15;

/// The running guest.
pub struct Guest {
    qemu: Qemu,
    heard: Vec<String>,
}

impl Guest {
    /// Starts QEMU from the tools root.
    pub fn start(demo: &Demo) -> Result<Self> {
        qemu::lend(&demo.files)?;
        File::create(&demo.disk)?.set_len(demo.disk_size)?;
        Ok(Self {
            qemu: Qemu::start(&demo.argv)?,
            heard: Vec::new(),
        })
    }

    /// QEMU's process.
    pub fn pid(&self) -> u32 {
        self.qemu.pid()
    }

    pub fn is_running(&self) -> bool {
        Path::new(&format!("/proc/{}/exe", self.pid())).exists()
    }

    /// Takes in what the guest has said since, and passes on what is meant for people. Returns
    /// whether QEMU still runs.
    pub fn runs(&mut self) -> Result<bool> {
        let status = self.qemu.ended()?;
        for line in self.qemu.lines() {
            self.heard.push(line);
            let line = &self.heard[self.heard.len() - 1];
            if let Some(words) = line.strip_prefix(PREFIX) {
                emit(&Event::Guest { line: words });
                ensure!(!words.starts_with("FAILED"), "the guest's work {words}");
            }
            ensure!(
                !line.contains("Kernel panic"),
                "the guest's kernel panicked"
            );
        }
        if let Some(status) = status {
            ensure!(status.success(), "QEMU: {}", child::describe(status));
        }
        Ok(status.is_none())
    }

    /// The same a little later.
    pub fn runs_after(&mut self, pause: Duration) -> Result<bool> {
        sleep(pause);
        self.runs()
    }

    /// Whether the guest's program has said something that starts so.
    pub fn has_said(&self, words: &str) -> bool {
        let spoken = self
            .heard
            .iter()
            .filter_map(|line| line.strip_prefix(PREFIX));
        spoken.into_iter().any(|line| line.starts_with(words))
    }

    /// Tells the guest's program to finish its round and shut down.
    pub fn ask_to_stop(&mut self) -> Result<()> {
        self.qemu.tell("stop")
    }

    /// The error after the last that the guest said; the guest is over.
    pub fn blame(&mut self, error: Error) -> Error {
        self.heard.extend(self.qemu.kill());
        for line in &self.heard[self.heard.len().saturating_sub(TAIL)..] {
            emit(&Event::Output { line });
        }
        error
    }
}
