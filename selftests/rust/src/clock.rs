// SPDX-License-Identifier: GPL-2.0

//! Time: how long something took, how long to wait, how long to go on.

use anyhow::{bail, Result};
use std::thread::{sleep, yield_now};
use std::time::{Duration, Instant};

/// Long enough for anything that is not stuck, on an emulated machine that others use too.
const PATIENCE: Duration = Duration::from_secs(20);

/// The same for what a whole guest or QEMU does.
pub const LONG: Duration = Duration::from_secs(120);
/// From one look at it to the next.
const LOOKS: Duration = Duration::from_millis(100);

/// Runs from its making on.
pub struct Stopwatch(Instant);

/// Does `step` again and again until so many milliseconds are over and it was done so often: a slow
/// machine takes longer, and a fast one tries more. `step` gets the numbers from 1 on.
pub fn repeat(millis: u64, times: u32, mut step: impl FnMut(u32) -> Result<()>) -> Result<()> {
    let enough = Duration::from_millis(millis);
    let start = Instant::now();
    let mut number = 1;
    while number <= times || start.elapsed() < enough {
        step(number)?;
        number += 1;
    }
    Ok(())
}

impl Stopwatch {
    /// Starts at zero.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Seconds so far.
    pub fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

/// Waits until `done`, and fails with `what` when that does not happen.
pub fn wait_for(what: &str, done: impl FnMut() -> Result<bool>) -> Result<()> {
    wait(PATIENCE, yield_now, what, done)
}

/// The same for what a whole guest or QEMU does. It gets the processors.
pub fn wait_long_for(what: &str, done: impl FnMut() -> Result<bool>) -> Result<()> {
    wait(LONG, || sleep(LOOKS), what, done)
}

fn wait(
    most: Duration,
    pause: impl Fn(),
    what: &str,
    mut done: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let start = Instant::now();
    while !done()? {
        if start.elapsed() > most {
            bail!("waited {most:?} in vain: {what}");
        }
        pause();
    }
    Ok(())
}
