// SPDX-License-Identifier: GPL-2.0

//! `kvmrs map`: the memory of one VM.

use super::seconds;
use crate::grid::FRAME_SHIFT;
use crate::map::Map;
use crate::show::screen::{Place, Screen};
use crate::show::{svg, text};
use crate::vms::{self, Vm};
use crate::{print, print_json};
use anyhow::{ensure, Context, Result};
use serde::Serialize;
use std::io::{stdin, stdout, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Its arguments.
#[derive(clap::Args)]
pub struct Options {
    /// Its directory in debugfs, or the thread or process that has made it
    vm: String,
    /// Print one JSON object
    #[arg(long, conflicts_with = "svg")]
    json: bool,
    /// Write a picture to this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print text, also to a terminal
    #[arg(long)]
    plain: bool,
    /// What a cell spans, such as 2M or 1G; as it fits if missing
    #[arg(long, value_parser = block)]
    block: Option<u64>,
    /// Seconds between two looks, on a terminal
    #[arg(long, value_parser = seconds, default_value = "1")]
    interval: Duration,
}

#[derive(Serialize)]
struct Named<'a> {
    vm: &'a str,
    #[serde(flatten)]
    map: Map,
}

/// Draws it in the way that was asked for.
pub fn run(debugfs: &Path, options: &Options) -> Result<ExitCode> {
    let vm = vms::find(debugfs, &options.vm)?;
    let map = look(&vm)?;
    if options.json {
        let vm = &vm.name;
        print_json(&Named { vm, map })?;
    } else if let Some(file) = &options.svg {
        let picture = svg::map(&vm.name, &map, options.block);
        std::fs::write(file, picture).with_context(|| format!("writing {}", file.display()))?;
    } else if options.plain || !stdout().is_terminal() || !stdin().is_terminal() {
        print(&text::map(&map, options.block))?;
    } else {
        explore(&vm, map, options)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The map of a VM now.
pub fn look(vm: &Vm) -> Result<Map> {
    vm.tables("mmu_map")?.parse()
}

fn explore(vm: &Vm, mut map: Map, options: &Options) -> Result<()> {
    let mut place = Place::new(&vm.name, options.block);
    let mut screen = Screen::take()?;
    while screen.map(&mut place, &map, options.interval)? {
        map = look(vm)?;
    }
    Ok(())
}

/// Frames of a cell: a power of two, because rows begin at multiples of what they span.
fn block(text: &str) -> Result<u64> {
    let units = [("K", 10), ("M", 20), ("G", 30), ("T", 40)];
    let known = units.iter().find_map(|(unit, shift)| {
        let count = text.strip_suffix(unit)?.parse().ok()?;
        Some((count, *shift))
    });
    let (count, shift): (u64, u32) = known.context("not a size such as 2M")?;
    let bytes = count
        .checked_mul(1_u64 << shift)
        .filter(|bytes| bytes.is_power_of_two());
    let frames = bytes.map_or(0, |bytes| bytes >> FRAME_SHIFT);
    ensure!(
        (1..=1 << 39).contains(&frames),
        "not a power of two from 4K to 2048T"
    );
    Ok(frames)
}
