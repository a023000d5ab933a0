// SPDX-License-Identifier: GPL-2.0

//! Listens to KVM's events while somebody watches a VM.

use super::events::Line;
use super::tasks::Tasks;
use super::tracer::Tracer;
use super::Reasons;
use crate::changes::RootChanges;
use crate::instance::until_signal;
use crate::vms::Vm;
use anyhow::Result;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often the tracer is emptied.
const STEP: Duration = Duration::from_millis(50);

/// Listens until it is dropped.
pub struct Listener {
    tracer: Tracer,
    tasks: Tasks,
    reasons: Reasons,
    lost: u64,
    /// A signal has come: the tracer must be left as it was.
    is_over: Arc<AtomicBool>,
}

impl Listener {
    /// Begins to listen.
    pub fn begin(debugfs: &Path, tracefs: &Path, vm: &Vm) -> Result<Self> {
        let is_over = until_signal()?;
        Ok(Self {
            tasks: Tasks::look(debugfs, vm)?,
            tracer: Tracer::begin(tracefs)?,
            reasons: Reasons::default(),
            lost: 0,
            is_over,
        })
    }

    /// Listens for some time. False if a signal has come.
    pub fn wait(&mut self, time: Duration) -> Result<bool> {
        let end = Instant::now() + time;
        while !self.is_over.load(Ordering::Relaxed) {
            self.hear()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(true);
            }
            sleep(left.min(STEP));
        }
        Ok(false)
    }

    fn hear(&mut self) -> Result<()> {
        for line in self.tracer.read()? {
            match line {
                Line::Event(event) => self.reasons.hear(&event, self.tasks.whose(event.pid)),
                Line::Lost(count) => self.lost += count,
                Line::Other => {}
            }
        }
        Ok(())
    }

    /// Says why `roots` changed between the last two looks. Returns how many events were lost.
    pub fn explain(&mut self, roots: &mut [RootChanges], tasks: Tasks) -> Result<u64> {
        self.hear()?;
        for root in roots {
            self.reasons.explain(root);
        }
        self.reasons.next_look();
        self.tasks = tasks;
        Ok(std::mem::take(&mut self.lost))
    }
}
