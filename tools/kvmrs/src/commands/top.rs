// SPDX-License-Identifier: GPL-2.0

//! `kvmrs top`: the figures of all VMs.

use super::seconds;
use crate::figures::{Figures, Row};
use crate::show::screen::Screen;
use crate::show::text;
use crate::vms;
use crate::{print, print_json};
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{stdin, stdout, IsTerminal};
use std::path::Path;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Its arguments.
#[derive(clap::Args)]
pub struct Options {
    /// Show the figures since each VM began, and end
    #[arg(long)]
    once: bool,
    /// Print one JSON object a look
    #[arg(long)]
    json: bool,
    /// Seconds between two looks
    #[arg(long, value_parser = seconds, default_value = "1")]
    interval: Duration,
}

#[derive(Serialize)]
struct Table {
    vms: Vec<Row>,
}

/// Shows them once, or until the user wants no more.
pub fn run(debugfs: &Path, options: &Options) -> Result<ExitCode> {
    let mut before = Before::default();
    if options.once {
        show(&before.look(debugfs)?, options)?;
        return Ok(ExitCode::SUCCESS);
    }
    before.look(debugfs)?;
    // Rates of less time would say little.
    sleep(options.interval);
    if options.json || !stdout().is_terminal() || !stdin().is_terminal() {
        loop {
            show(&before.look(debugfs)?, options)?;
            sleep(options.interval);
        }
    }
    let mut screen = Screen::take()?;
    while screen.top(&before.look(debugfs)?.vms, options.interval)? {}
    Ok(ExitCode::SUCCESS)
}

fn show(table: &Table, options: &Options) -> Result<()> {
    if options.json {
        print_json(table)
    } else {
        print(&text::top(&table.vms))
    }
}

/// The look before.
#[derive(Default)]
struct Before {
    /// By the names of the VMs.
    figures: BTreeMap<String, Figures>,
    /// None if there was none yet.
    at: Option<Instant>,
}

impl Before {
    fn look(&mut self, debugfs: &Path) -> Result<Table> {
        let now = Instant::now();
        let time = self.at.replace(now).map(|at| now - at);
        let mut table = Table { vms: Vec::new() };
        let mut seen = BTreeMap::new();
        for vm in vms::all(debugfs)? {
            // A VM that ended just now is not shown.
            let Some(figures) = vm.figures()? else {
                continue;
            };
            seen.insert(vm.name.clone(), figures.clone());
            let before = time.map(|time| (self.figures.get(&vm.name), time));
            let program = vm.program();
            table.vms.push(Row::of(vm.name, program, figures, before));
        }
        self.figures = seen;
        Ok(table)
    }
}
