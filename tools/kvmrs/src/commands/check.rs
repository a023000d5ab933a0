// SPDX-License-Identifier: GPL-2.0

//! `kvmrs check`: one VM, or all of them.

use crate::check::Findings;
use crate::vms::{self, Vm};
use crate::{print, print_json, ERROR};
use anyhow::Result;
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;

/// Its arguments.
#[derive(clap::Args)]
pub struct Options {
    /// Its directory in debugfs, or the thread or process that has made it; all VMs if missing
    vm: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    vms: Vec<OfVm>,
}

#[derive(Serialize)]
struct OfVm {
    vm: String,
    #[serde(flatten)]
    findings: Findings,
}

/// The exit code is that of the worst VM.
pub fn run(debugfs: &Path, options: &Options) -> Result<ExitCode> {
    let vms = match &options.vm {
        Some(wanted) => vec![vms::find(debugfs, wanted)?],
        None => vms::all(debugfs)?,
    };
    let mut report = Report { vms: Vec::new() };
    let mut is_complete = true;
    for vm in &vms {
        match findings(vm) {
            Ok(findings) => report.vms.push(OfVm {
                vm: vm.name.clone(),
                findings,
            }),
            // It ended while others were looked at.
            Err(_) if options.vm.is_none() && !vm.is_there() => {}
            Err(error) => {
                eprintln!("kvmrs: {error:#}");
                is_complete = false;
            }
        }
    }
    if options.json {
        print_json(&report)?;
    } else {
        print(&report.text())?;
    }
    Ok(match (is_complete, report.is_sound()) {
        (_, false) => ExitCode::FAILURE,
        (false, true) => ExitCode::from(ERROR),
        (true, true) => ExitCode::SUCCESS,
    })
}

fn findings(vm: &Vm) -> Result<Findings> {
    vm.tables("mmu_check")?.parse()
}

impl Report {
    fn is_sound(&self) -> bool {
        self.vms.iter().all(|vm| vm.findings.violations.is_empty())
    }

    fn text(&self) -> String {
        self.vms.iter().map(OfVm::text).collect()
    }
}

impl OfVm {
    fn text(&self) -> String {
        let Findings { violations, busy } = &self.findings;
        let lines = violations.iter();
        let lines = lines.map(|violation| format!("{}: {violation}\n", self.vm));
        let mut text = lines.collect::<Vec<_>>().concat();
        if violations.is_empty() {
            text += &format!("{}: sound\n", self.vm);
        }
        if *busy {
            text += &format!("{}: too busy to compare figures\n", self.vm);
        }
        text
    }
}
