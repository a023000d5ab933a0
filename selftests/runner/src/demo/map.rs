// SPDX-License-Identifier: GPL-2.0

//! What the guest has mapped, as the tool `kvmrs` shows it.

use crate::events::{emit, Event};
use anyhow::{ensure, Context, Result};
use std::fs;
use std::process::Command;

const PICTURE: &str = "/tmp/map.svg";

/// Shows the map of the VM that process `pid` has.
pub fn show(tool: &str, pid: u32, moment: &str) -> Result<()> {
    let pid = pid.to_string();
    let text = run(tool, &["map", &pid, "--plain"])?;
    run(tool, &["map", &pid, "--svg", PICTURE])?;
    let picture = fs::read_to_string(PICTURE).context(PICTURE)?;
    emit(&Event::Map {
        moment,
        text: &text,
        picture: &picture,
    });
    Ok(())
}

fn run(tool: &str, words: &[&str]) -> Result<String> {
    let output = Command::new(tool).args(words).output().context("kvmrs")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", errors.trim());
    Ok(String::from_utf8(output.stdout)?)
}
