// SPDX-License-Identifier: GPL-2.0

//! `kvmrs watch`: what changes in the page tables of one VM.

use super::{map::look, seconds};
use crate::changes::{between, RootChanges};
use crate::show::text;
use crate::vms;
use crate::{print, print_json};
use anyhow::Result;
use serde::Serialize;
use std::path::Path;
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
}

/// Compares each look with the one before, until the VM ends.
pub fn run(debugfs: &Path, options: &Options) -> Result<ExitCode> {
    let vm = vms::find(debugfs, &options.vm)?;
    let begin = Instant::now();
    let mut before = look(&vm)?;
    let mut left = options.count;
    while left != Some(0) {
        sleep(options.interval);
        let now = look(&vm)?;
        let moment = Moment {
            vm: &vm.name,
            seconds: begin.elapsed().as_secs_f64(),
            roots: between(&before, &now),
        };
        moment.show(options)?;
        before = now;
        left = left.map(|left| left - 1);
    }
    Ok(ExitCode::SUCCESS)
}

impl Moment<'_> {
    fn show(&self, options: &Options) -> Result<()> {
        if options.json {
            return print_json(self);
        }
        let changes = text::changes(&self.roots, options.all);
        if changes.is_empty() {
            return Ok(());
        }
        print(&format!("after {:.1} s\n{changes}", self.seconds))
    }
}
