// SPDX-License-Identifier: GPL-2.0

//! `kvmrs watch`: what changes in the page tables of one VM.

use super::{map::look, seconds};
use crate::changes::{between, RootChanges};
use crate::instance::TRACEFS;
use crate::show::text;
use crate::vms;
use crate::why::listen::Listener;
use crate::why::tasks::Tasks;
use crate::{print, print_json};
use anyhow::Result;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Its arguments.
#[derive(clap::Args)]
pub struct Options {
    /// Its directory in debugfs, or the thread or process that has made it
    vm: String,
    /// Print one JSON object a look
    #[arg(long)]
    json: bool,
    /// Show where bits changed, too, and not only where huge pages came or went
    #[arg(long)]
    all: bool,
    /// Say why huge pages came or went, as far as KVM's tracepoints tell
    #[arg(long)]
    why: bool,
    /// Where the kernel's tracer is
    #[arg(long, default_value = TRACEFS)]
    tracefs: PathBuf,
    /// Seconds between two looks
    #[arg(long, value_parser = seconds, default_value = "1")]
    interval: Duration,
    /// End after so many comparisons
    #[arg(long)]
    count: Option<u64>,
}

#[derive(Serialize)]
struct Moment<'a> {
    vm: &'a str,
    /// Since the begin.
    seconds: f64,
    roots: Vec<RootChanges>,
    /// Of events that could have said why.
    #[serde(skip_serializing_if = "Option::is_none")]
    events_lost: Option<u64>,
}

/// Compares each look with the one before, until the VM ends.
pub fn run(debugfs: &Path, options: &Options) -> Result<ExitCode> {
    let vm = vms::find(debugfs, &options.vm)?;
    let listen = || Listener::begin(debugfs, &options.tracefs, &vm);
    let mut listener = options.why.then(listen).transpose()?;
    let begin = Instant::now();
    let mut before = look(&vm)?;
    let mut left = options.count;
    while left != Some(0) && wait(listener.as_mut(), options.interval)? {
        let now = look(&vm)?;
        let mut roots = between(&before, &now);
        let events_lost = match &mut listener {
            Some(listener) => Some(listener.explain(&mut roots, Tasks::look(debugfs, &vm)?)?),
            None => None,
        };
        let moment = Moment {
            vm: &vm.name,
            seconds: begin.elapsed().as_secs_f64(),
            roots,
            events_lost,
        };
        moment.show(options)?;
        before = now;
        left = left.map(|left| left - 1);
    }
    Ok(ExitCode::SUCCESS)
}

/// False if it shall end.
fn wait(listener: Option<&mut Listener>, time: Duration) -> Result<bool> {
    let Some(listener) = listener else {
        sleep(time);
        return Ok(true);
    };
    listener.wait(time)
}

impl Moment<'_> {
    fn show(&self, options: &Options) -> Result<()> {
        if options.json {
            return print_json(self);
        }
        let mut changes = text::changes(&self.roots, options.all);
        if let Some(lost @ 1..) = self.events_lost {
            changes += &format!("  {lost} events were lost: reasons may be missing\n");
        }
        if changes.is_empty() {
            return Ok(());
        }
        print(&format!("after {:.1} s\n{changes}", self.seconds))
    }
}
