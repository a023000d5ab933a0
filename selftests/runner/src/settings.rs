// SPDX-License-Identifier: GPL-2.0

//! Reading and writing the small files of /proc and /sys.

use anyhow::{anyhow, Context, Result};
use std::fs;
use std::path::Path;

/// Writes `value` and names the file when the kernel refuses.
pub fn write(path: &str, value: &str) -> Result<()> {
    fs::write(path, value).with_context(|| format!("writing '{value}' to {path}"))
}

/// The content without surrounding white space.
pub fn read(path: &str) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    Ok(text.trim().to_string())
}

/// Whether the kernel has this file.
pub fn exists(path: &str) -> bool {
    Path::new(path).exists()
}

/// A number from a table of `name value` lines: /proc/meminfo, /proc/vmstat.
pub fn number(path: &str, name: &str) -> Result<u64> {
    let text = read(path)?;
    text.lines()
        .filter_map(|line| line.strip_prefix(name))
        .find_map(|rest| {
            rest.trim_start_matches(':')
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .ok_or_else(|| anyhow!("{path} has no number '{name}'"))
}
