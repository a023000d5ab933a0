// SPDX-License-Identifier: GPL-2.0

//! Reads files and their mutants, and writes files that have all of these mutants in them: JSON, from standard
//! input to standard output.

#![forbid(unsafe_code)]

use std::io::{
    stdin,
    stdout, //
};

use anyhow::Result;
use kvmrs_switches::{
    switch_files,
    Wanted, //
};

fn main() -> Result<()> {
    let wanted: Wanted = serde_json::from_reader(stdin().lock())?;
    serde_json::to_writer(stdout().lock(), &switch_files(&wanted)?)?;
    Ok(())
}
