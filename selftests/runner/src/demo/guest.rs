// SPDX-License-Identifier: GPL-2.0

//! QEMU with the guest, and what the guest says on its serial line.

use crate::child;
use crate::events::{emit, Event};
use crate::job::Demo;
use crate::system::SHARE;
use anyhow::{ensure, Context, Error, Result};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{channel, Receiver};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// What the guest's own program says starts with this.
const PREFIX: &str = "guest: ";
const TAIL: usize = 15;

/// The running guest.
pub struct Guest {
    qemu: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    heard: Vec<String>,
}

impl Guest {
    /// Starts QEMU from the tools root.
    pub fn start(demo: &Demo) -> Result<Self> {
        for path in &demo.files {
            let name = Path::new(path).file_name().context("a file has a name")?;
            fs::copy(path, Path::new("/tmp").join(name))
                .with_context(|| format!("copying {path}"))?;
        }
        File::create(&demo.disk)?.set_len(demo.disk_size)?;
        let mut qemu = Command::new("/bin/busybox")
            .args(["chroot", SHARE])
            .args(&demo.argv)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .context("starting QEMU")?;
        let input = qemu.stdin.take().context("QEMU has an input")?;
        let output = qemu.stdout.take().context("QEMU has an output")?;
        let (sender, lines) = channel();
        spawn(move || {
            let mut reader = BufReader::new(output);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                let text = String::from_utf8_lossy(&line).trim().to_string();
                if sender.send(text).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Ok(Self {
            qemu,
            input,
            lines,
            heard: Vec::new(),
        })
    }

    /// QEMU's process: chroot gives its own to the program that it runs.
    pub fn pid(&self) -> u32 {
        self.qemu.id()
    }

    pub fn is_running(&self) -> bool {
        Path::new(&format!("/proc/{}/exe", self.pid())).exists()
    }

    /// Takes in what the guest has said since, and passes on what is meant for people. Returns
    /// whether QEMU still runs.
    pub fn runs(&mut self) -> Result<bool> {
        let status = self.qemu.try_wait()?;
        while let Ok(line) = self.lines.try_recv() {
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
        self.input
            .write_all(b"stop\n")
            .context("talking to the guest")
    }

    /// The error after the last that the guest said; the guest is over.
    pub fn blame(&mut self, error: Error) -> Error {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        self.heard.extend(self.lines.iter());
        for line in &self.heard[self.heard.len().saturating_sub(TAIL)..] {
            emit(&Event::Output { line });
        }
        error
    }
}
