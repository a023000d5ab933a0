// SPDX-License-Identifier: GPL-2.0

//! The tool `kvmrs` says of a real VM what was done to it.

use super::test;
use crate::harness::{Skip, Test};
use anyhow::{ensure, Context, Result};
use kvm_bindings::KVM_MEM_LOG_DIRTY_PAGES as LOG;
use kvmtest::memory::{Backing, Memory, PAGE_2M, PAGE_4K};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{eager_split, Slot, Vm, BASE};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

pub const TESTS: &[Test] = &[
    test("tool_map", map),
    test("tool_check_and_top", check_and_top),
    test("tool_watch", watch),
];

/// Where the initramfs has the tool.
const TOOL: &str = "/tests/kvmrs";
/// Frames of the memory that is watched.
pub const PAGES: u64 = 2 * PAGE_2M / PAGE_4K;
/// What is not seen in so many looks is not seen at all.
const LOOKS: usize = 100;

fn tool(words: &[&str]) -> Result<Output> {
    command(words)?.output().context(TOOL)
}

/// To start the tool.
pub fn command(words: &[&str]) -> Result<Command> {
    if !Path::new(TOOL).exists() {
        return Err(Skip(format!("{TOOL} is not there")).into());
    }
    let mut command = Command::new(TOOL);
    command.args(words);
    Ok(command)
}

/// What it prints if all is well.
pub fn text(words: &[&str]) -> Result<String> {
    let output = tool(words)?;
    ensure!(output.status.success(), "kvmrs {words:?}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

fn json(words: &[&str]) -> Result<Value> {
    Ok(serde_json::from_str(&text(words)?)?)
}

/// A VM whose guest wrote all of its memory.
pub fn prepared(backend: &str, memory: &Memory) -> Result<(Vm, Vcpu)> {
    let (vm, mut vcpu) = Vm::with(backend, memory)?;
    vcpu.fill(&(BASE..BASE + memory.size()), 1)?;
    Ok((vm, vcpu))
}

fn map(backend: &str) -> Result<()> {
    let memory = Memory::new(2 * PAGE_2M, Backing::Huge)?;
    let (vm, _vcpu) = prepared(backend, &memory)?;
    let map = json(&["map", vm.inside.name(), "--json"])?;
    let run = &map["roots"][0]["runs"][2];
    let found = [
        &run["size"],
        &run["entries"],
        &run["first_gfn"],
        &run["dirty"],
    ];
    let wanted: [Value; 4] = ["2M".into(), 2.into(), (BASE / PAGE_4K).into(), true.into()];
    ensure!(found == wanted.each_ref(), "the map has {run}");
    let picture = text(&["map", vm.inside.name(), "--plain"])?;
    let row = format!("0x000040000000 MM{}\n", ".".repeat(62));
    ensure!(picture.contains(&row), "the picture is {picture}");
    let file = "/tmp/kvmrs.svg";
    text(&["map", vm.inside.name(), "--svg", file])?;
    let svg = std::fs::read_to_string(file)?;
    ensure!(svg.starts_with("<svg "), "no picture: {svg}");
    Ok(())
}

fn check_and_top(backend: &str) -> Result<()> {
    let memory = Memory::new(2 * PAGE_2M, Backing::Huge)?;
    let (vm, _vcpu) = prepared(backend, &memory)?;
    let name = vm.inside.name();
    ensure!(text(&["check", name])? == format!("{name}: sound\n"));
    let report = json(&["check", "--json"])?;
    let vms = report["vms"].as_array().context("no VMs")?;
    ensure!(
        vms.iter().any(|vm| vm["vm"] == name),
        "no {name} in {report}"
    );
    let table = json(&["top", "--once", "--json"])?;
    let rows = table["vms"].as_array().context("no VMs")?;
    let row = rows.iter().find(|row| row["vm"] == name);
    let figures = &row.context("the VM is not in the table")?["figures"];
    let [small, huge, _] = vm.mapped()?;
    ensure!(
        figures["pages_4k"] == small && figures["pages_2m"] == huge && huge == 2,
        "the table has {figures}"
    );
    // It has no file of its own.
    let tables = vm.stats.get("tdp_tables_made")?;
    ensure!(
        figures["tdp_tables_made"] == tables,
        "not {tables} tables: {figures}"
    );
    Ok(())
}

/// Logging splits the pages while the tool watches, and they come back.
fn watch(backend: &str) -> Result<()> {
    let memory = Memory::new(2 * PAGE_2M, Backing::Huge)?;
    let _split = eager_split(true)?;
    let (vm, _vcpu) = prepared(backend, &memory)?;
    let slot = Slot::of(&memory);
    let lost = changes(&vm, "lost", || vm.set(&slot, LOG))?;
    ensure!(lost == PAGES, "logging: {lost} frames");
    let regained = changes(&vm, "regained", || vm.set(&slot, 0))?;
    ensure!(regained == PAGES, "no logging: {regained} frames");
    Ok(())
}

/// How many frames changed in this way, as the tool saw it, by what `change` did to all [`PAGES`].
fn changes(vm: &Vm, way: &str, change: impl FnOnce() -> Result<()>) -> Result<u64> {
    let mut frames = 0;
    watched(vm, &[], change, |moment| {
        frames += moment["roots"][0]["frames"][way].as_u64().unwrap_or(0);
        frames >= PAGES
    })?;
    Ok(frames)
}

/// Lets the tool watch `change`, and shows to `see` what it says, until that has seen enough.
pub fn watched(
    vm: &Vm,
    more: &[&str],
    change: impl FnOnce() -> Result<()>,
    mut see: impl FnMut(&Value) -> bool,
) -> Result<()> {
    let words = ["watch", vm.inside.name(), "--json", "--interval", "0.2"];
    let mut command = command(&words)?;
    command.args(more).stdout(Stdio::piped());
    let mut watching = Watching(command.spawn()?);
    let out = watching.0.stdout.take().context("no output")?;
    let mut looks = BufReader::new(out).lines();
    // The tool compares two looks for a line, so it has seen what there was before the change.
    looks.next().context("no line")??;
    change()?;
    for line in looks.take(LOOKS) {
        if see(&serde_json::from_str(&line?)?) {
            break;
        }
    }
    Ok(())
}

/// The tool while it watches. It ends when nobody reads what it says.
struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        if let Err(error) = self.0.wait() {
            eprintln!("# ending {TOOL}: {error}");
        }
    }
}
