// SPDX-License-Identifier: GPL-2.0

//! A VM that stays alive: the program `vm_holder` at the end of two pipes.

use anyhow::{bail, Context, Result};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running holder. Its VM ends when this is dropped.
pub struct Holder {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Holder {
    /// Makes a VM on the backend that is chosen now.
    pub fn start(program: &str) -> Result<Self> {
        Self::start_with(program, &[])
    }

    /// The same for a VM that speaks Xen.
    pub fn start_xen(program: &str) -> Result<Self> {
        Self::start_with(program, &["xen"])
    }

    fn start_with(program: &str, arguments: &[&str]) -> Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("the holder has an output")?);
        let mut holder = Self {
            child,
            input,
            output,
        };
        holder.expect("ready")?;
        Ok(holder)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets the guest write all of its memory, and the holder verify it.
    pub fn touch(&mut self) -> Result<()> {
        self.input
            .as_mut()
            .context("the holder has an input")?
            .write_all(b"\n")?;
        self.expect("touched")
    }

    /// Ends the VM; fails when the holder found something wrong.
    pub fn stop(mut self) -> Result<()> {
        drop(self.input.take());
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the VM's program ended with {status}");
        }
        Ok(())
    }

    /// The library prints lines of its own, which are passed over.
    fn expect(&mut self, word: &str) -> Result<()> {
        let mut line = String::new();
        while self.output.read_line(&mut line)? > 0 {
            if line.trim() == word {
                return Ok(());
            }
            line.clear();
        }
        bail!("the VM's program ended before it said '{word}'")
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
