// SPDX-License-Identifier: GPL-2.0

//! QEMU's control socket: one JSON object a line.

use anyhow::{bail, Context, Result};
use serde_json::{json, Value};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that is ready for commands.
pub struct Qmp(BufReader<UnixStream>);

impl Qmp {
    /// Connects to the socket at `path` and greets.
    pub fn connect(path: &str) -> Result<Self> {
        let socket = UnixStream::connect(path).with_context(|| format!("connecting to {path}"))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut qmp = Self(BufReader::new(socket));
        qmp.line()?;
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Runs a command and returns its answer. Events in between are of no interest.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let request = json!({"execute": command, "arguments": arguments});
        self.0
            .get_mut()
            .write_all(format!("{request}\n").as_bytes())?;
        loop {
            let mut answer = self.line().with_context(|| command.to_string())?;
            if let Some(error) = answer.get("error") {
                bail!("QEMU refuses {command}: {error}");
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self
            .0
            .read_line(&mut line)
            .context("QEMU does not answer")?
            == 0
        {
            bail!("QEMU closed its control socket");
        }
        Ok(serde_json::from_str(&line)?)
    }
}
