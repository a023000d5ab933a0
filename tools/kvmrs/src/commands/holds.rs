// SPDX-License-Identifier: GPL-2.0

//! `kvmrs holds`: how long `mmu_lock` was held, by what for.

use super::seconds;
use crate::holds::listen::look;
use crate::instance::TRACEFS;
use crate::show::holds;
use crate::{print, print_json};
use anyhow::Result;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Its arguments.
#[derive(clap::Args)]
pub struct Options {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Where the kernel's tracer is
    #[arg(long, default_value = TRACEFS)]
    tracefs: PathBuf,
    /// Look for so many seconds, or until Ctrl-C
    #[arg(long, value_parser = seconds, default_value = "5")]
    seconds: Duration,
}

/// Looks once, at all VMs.
pub fn run(options: &Options) -> Result<ExitCode> {
    let table = look(&options.tracefs, options.seconds)?;
    if options.json {
        print_json(&table)?;
    } else {
        print(&holds::text(&table))?;
    }
    Ok(ExitCode::SUCCESS)
}
