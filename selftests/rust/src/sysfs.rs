// SPDX-License-Identifier: GPL-2.0

//! The small files of /proc and /sys, and settings that are put back.

use anyhow::{Context, Result};
use std::fs;

/// The content without surrounding white space.
pub fn read(path: &str) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    Ok(text.trim().to_string())
}

/// The content as a number.
pub fn number(path: &str) -> Result<u64> {
    read(path)?
        .parse()
        .with_context(|| format!("{path} holds no number"))
}

/// Writes `value`, and names the file when the kernel refuses.
pub fn write(path: &str, value: &str) -> Result<()> {
    fs::write(path, value).with_context(|| format!("writing '{value}' to {path}"))
}

/// A setting that gets its old value back in the end.
pub struct Setting {
    path: &'static str,
    old: String,
}

impl Setting {
    /// Writes `value` for as long as the object lives.
    pub fn new(path: &'static str, value: &str) -> Result<Self> {
        let old = read(path)?;
        write(path, value)?;
        Ok(Self { path, old })
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        if let Err(error) = write(self.path, &self.old) {
            eprintln!("# {error:#}");
        }
    }
}
