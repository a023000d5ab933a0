// SPDX-License-Identifier: GPL-2.0

//! Listens to the probes for some time.

use super::lines::Line;
use super::pairs::Pairs;
use super::probes::Probes;
use super::Table;
use crate::instance::{until_signal, Instance};
use anyhow::{Context, Result};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often the tracer is emptied.
const STEP: Duration = Duration::from_millis(50);

/// It counts the processor's ticks. Clocks in nanoseconds are shown in microseconds, which holds may be
/// shorter than.
const CLOCK: &str = "x86-tsc";

/// The instance goes first: probes that somebody hears cannot go.
struct Listener {
    instance: Instance,
    probes: Probes,
}

/// All holds that end within this time, or until a signal comes.
pub fn look(tracefs: &Path, time: Duration) -> Result<Table> {
    let is_over = until_signal()?;
    let probes = Probes::none(tracefs)?;
    let mut listener = Listener {
        instance: Instance::begin(tracefs)?,
        probes,
    };
    listener.switch_on()?;
    let (begin, first_tick) = (Instant::now(), listener.tick()?);
    let mut pairs = Pairs::default();
    while !is_over.load(Ordering::Relaxed) {
        listener.hear(&mut pairs)?;
        let left = time.saturating_sub(begin.elapsed());
        if left.is_zero() {
            break;
        }
        sleep(left.min(STEP));
    }
    let (seconds, last_tick) = (begin.elapsed().as_secs_f64(), listener.tick()?);
    listener.instance.set("tracing_on", "0")?;
    while listener.hear(&mut pairs)? {}
    Ok(pairs.table(seconds, last_tick - first_tick))
}

impl Listener {
    fn switch_on(&mut self) -> Result<()> {
        self.probes.make()?;
        self.instance.set("trace_clock", CLOCK)?;
        self.instance.listen()?;
        for (file, value) in self.probes.switches() {
            self.instance.set(&file, value)?;
        }
        Ok(())
    }

    /// The clock, now.
    fn tick(&self) -> Result<u64> {
        let text = self.instance.get("per_cpu/cpu0/stats")?;
        let now = text.lines().find_map(|line| line.strip_prefix("now ts:"));
        let now = now.context("the tracer does not tell its clock")?;
        now.trim().parse().context("the tracer's clock")
    }

    /// False if there was nothing.
    fn hear(&mut self, pairs: &mut Pairs) -> Result<bool> {
        let text = self.instance.read()?;
        for line in text.lines() {
            pairs.hear(&Line::parse(line)?);
        }
        Ok(!text.is_empty())
    }
}
