// SPDX-License-Identifier: GPL-2.0

//! The commands.

pub mod check;
pub mod holds;
pub mod map;
pub mod top;
pub mod watch;

use anyhow::{ensure, Context, Result};
use std::time::Duration;

/// Seconds on the command line.
fn seconds(text: &str) -> Result<Duration> {
    let seconds: f64 = text.parse().context("not a number of seconds")?;
    let time = Duration::try_from_secs_f64(seconds)?;
    ensure!(!time.is_zero(), "no time at all");
    Ok(time)
}
