// SPDX-License-Identifier: GPL-2.0

//! Shows what is inside VMs: their page tables, what changes in them, what is wrong with them.
//!
//! - [`vms`]: which VMs there are, and KVM's files of them
//! - [`map`], [`check`]: what these files say
//! - [`grid`]: a map cut into cells
//! - [`changes`]: two maps compared
//! - [`why`]: what KVM's tracepoints say of the difference
//! - [`holds`]: how long `mmu_lock` was held
//! - [`instance`]: the kernel's tracer, which the last two listen to
//! - [`figures`]: the columns of `kvmrs top`
//! - [`show`]: text, screen, picture
//! - [`commands`]: one file for each command

mod changes;
mod check;
mod commands;
mod figures;
mod grid;
mod holds;
mod instance;
mod map;
mod show;
#[cfg(test)]
mod tests;
mod vms;
mod why;

use clap::{Parser, Subcommand};
use commands::{check as check_command, holds as holds_command, map as map_command, top, watch};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// The exit code if something could not be done; clap uses it for wrong command lines.
const ERROR: u8 = 2;

/// See inside VMs.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// KVM's directory in debugfs
    #[arg(long, global = true, default_value = vms::DEBUGFS)]
    debugfs: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Draw the guest's memory as the page tables map it
    Map(map_command::Options),
    /// Show the figures of all VMs
    Top(top::Options),
    /// Show what changes in a VM's page tables
    Watch(watch::Options),
    /// Show how long mmu_lock was held, by what for
    Holds(holds_command::Options),
    /// Look for broken rules in page tables; exit code 1 if there are any
    Check(check_command::Options),
}

fn main() -> ExitCode {
    let Arguments { debugfs, command } = Arguments::parse();
    let ended = match command {
        Command::Map(options) => map_command::run(&debugfs, &options),
        Command::Top(options) => top::run(&debugfs, &options),
        Command::Watch(options) => watch::run(&debugfs, &options),
        Command::Holds(options) => holds_command::run(&options),
        Command::Check(options) => check_command::run(&debugfs, &options),
    };
    ended.unwrap_or_else(|error| {
        if is_broken_pipe(&error) {
            return ExitCode::SUCCESS;
        }
        eprintln!("kvmrs: {error:#}");
        ExitCode::from(ERROR)
    })
}

/// Writes to the standard output. Unlike `println!`, it does not panic if nobody reads it.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Writes a value as one line of JSON.
fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&(serde_json::to_string(value)? + "\n"))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
