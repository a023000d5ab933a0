// SPDX-License-Identifier: GPL-2.0

//! QEMU from the tools root, with a guest whose serial line is QEMU's own input and output.

use anyhow::{Context, Result};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{channel, Receiver, Sender, TryIter};
use std::thread::spawn;
use std::time::Duration;

/// Where the tools root appears.
pub const SHARE: &str = "/share";

/// A running QEMU. It ends with this object.
pub struct Qemu {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Qemu {
    /// Starts it.
    pub fn start(argv: &[String]) -> Result<Self> {
        let mut child = Command::new("/bin/busybox")
            .args(["chroot", SHARE])
            .args(argv)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting QEMU")?;
        let input = child.stdin.take().context("QEMU has an input")?;
        let output = child.stdout.take().context("QEMU has an output")?;
        let errors = child.stderr.take().context("QEMU has errors")?;
        let (sender, lines) = channel();
        let sender_of_errors = sender.clone();
        spawn(move || pass_on(output, "", &sender));
        spawn(move || pass_on(errors, "qemu: ", &sender_of_errors));
        Ok(Self {
            child,
            input,
            lines,
        })
    }

    /// Its process: chroot gives its own to the program that it runs.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("waiting for QEMU")
    }

    /// What the guest has said since the last look, and QEMU of its own.
    pub fn lines(&self) -> TryIter<'_, String> {
        self.lines.try_iter()
    }

    /// The next that the guest says, or `None`: QEMU has ended, or it took too long.
    pub fn next_line(&self, patience: Duration) -> Option<String> {
        self.lines.recv_timeout(patience).ok()
    }

    /// Tells the guest something.
    pub fn tell(&mut self, line: &str) -> Result<()> {
        self.input
            .write_all(format!("{line}\n").as_bytes())
            .context("talking to the guest")
    }

    /// Ends it, and gives the last that the guest said.
    pub fn kill(&mut self) -> Vec<String> {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.lines.iter().collect()
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Copies `files` to where programs of the tools root find them: /tmp is theirs, too.
pub fn lend(files: &[String]) -> Result<()> {
    for path in files {
        let name = Path::new(path).file_name().context("a file has a name")?;
        fs::copy(path, Path::new("/tmp").join(name)).with_context(|| format!("copying {path}"))?;
    }
    Ok(())
}

/// A failure shows the last that was said: what QEMU says of its own must be in its place there.
fn pass_on(output: impl Read, prefix: &str, to: &Sender<String>) {
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        let text = String::from_utf8_lossy(&line);
        if to.send(format!("{prefix}{}", text.trim())).is_err() {
            return;
        }
        line.clear();
    }
}
