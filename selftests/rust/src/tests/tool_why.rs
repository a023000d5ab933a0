// SPDX-License-Identifier: GPL-2.0

//! `kvmrs watch --why` says of a real VM why its huge pages came and went.

use super::test;
use super::tool::{command, prepared, watched, PAGES};
use crate::clock::wait_for;
use crate::harness::Test;
use anyhow::{ensure, Context, Result};
use kvm_bindings::KVM_MEM_LOG_DIRTY_PAGES as LOG;
use kvmtest::guest::{self, Pattern, Program};
use kvmtest::memory::{Backing, Memory, PAGE_2M, PAGE_4K};
use kvmtest::probes::TRACING;
use kvmtest::sysfs::{self, Setting, NX_HUGE_PAGES, NX_PERIOD, NX_RATIO};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{eager_split, Slot, Vm, BASE};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Error};
use std::process::Stdio;

pub const TESTS: &[Test] = &[
    test("tool_why_split", split),
    test("tool_why_zapped", zapped),
    test("tool_why_nx", nx),
    test("tool_why_interrupted", interrupted),
];

/// Frames by the reason that the tool tells.
type Reasons = BTreeMap<String, u64>;

/// Logging splits all pages at once or when the guest writes, and they come back.
fn split(backend: &str) -> Result<()> {
    let memory = Memory::new(2 * PAGE_2M, Backing::Huge)?;
    let slot = Slot::of(&memory);
    let (vm, mut vcpu) = prepared(backend, &memory)?;
    {
        let _split = eager_split(true)?;
        expect(&vm, "split_for_log", || vm.set(&slot, LOG))?;
        expect(&vm, "recovered", || vm.set(&slot, 0))?;
    }
    let _split = eager_split(false)?;
    expect(&vm, "split_for_write", || {
        vm.set(&slot, LOG)?;
        touch(&mut vcpu, &memory)
    })?;
    is_tidy()
}

/// The host takes the pages away, and a fault maps new ones.
fn zapped(backend: &str) -> Result<()> {
    let memory = Memory::new(2 * PAGE_2M, Backing::Huge)?;
    let (vm, mut vcpu) = prepared(backend, &memory)?;
    expect(&vm, "zapped_by_host", || memory.discard(0..memory.size()))?;
    expect(&vm, "faulted", || touch(&mut vcpu, &memory))?;
    is_tidy()
}

/// Where a guest executes, its pages are split; they come back when they were recovered.
fn nx(backend: &str) -> Result<()> {
    let _settings = Setting::all(&[(NX_HUGE_PAGES, "force"), (NX_RATIO, "0"), (NX_PERIOD, "1")])?;
    let memory = Memory::new(2 * PAGE_2M, Backing::Huge)?;
    let slot = Slot::of(&memory);
    let (vm, mut vcpu) = prepared(backend, &memory)?;
    expect(&vm, "split_for_nx", || {
        let visit = guest::pass(Program::Visit, &slot.range(), PAGE_2M, Pattern::Same, 0);
        vcpu.run(&visit).map(drop)
    })?;
    expect(&vm, "recovered_from_nx", || {
        sysfs::write(NX_RATIO, "1")?;
        wait_for("all is recovered", || Ok(vm.mapped()? == [1, 0, 0]))?;
        touch(&mut vcpu, &memory)
    })?;
    is_tidy()
}

/// Who has seen enough presses Ctrl-C.
fn interrupted(backend: &str) -> Result<()> {
    let vm = Vm::new(backend)?;
    let words = ["watch", vm.inside.name(), "--why", "--json"];
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let mut watching = command(&words)?.stdout(Stdio::piped()).spawn()?;
        let mut looks = BufReader::new(watching.stdout.take().context("no output")?).lines();
        looks.next().context("no line")??;
        // SAFETY: The process has no other parent that could have waited for it.
        let failed = unsafe { libc::kill(watching.id() as i32, signal) };
        ensure!(failed == 0, "kill: {}", Error::last_os_error());
        let ended = watching.wait()?;
        ensure!(ended.success(), "signal {signal}: {ended}");
        is_tidy()?;
    }
    Ok(())
}

/// The guest writes to one page of each huge page.
fn touch(vcpu: &mut Vcpu, memory: &Memory) -> Result<()> {
    (BASE..BASE + memory.size())
        .step_by(PAGE_2M as usize)
        .try_for_each(|start| vcpu.fill(&(start..start + PAGE_4K), 2))
}

/// The tool has this reason for all frames, and it is sure that the VM is meant: there is no other one.
fn expect(vm: &Vm, reason: &str, change: impl FnOnce() -> Result<()>) -> Result<()> {
    let mut frames = Reasons::new();
    watched(vm, &["--why"], change, |moment| {
        count(moment, &mut frames);
        frames.values().sum::<u64>() >= PAGES
    })?;
    let wanted = Reasons::from([(format!("{reason} true"), PAGES)]);
    ensure!(frames == wanted, "{frames:?} instead of {wanted:?}");
    Ok(())
}

/// Adds up what the tool says of one look.
fn count(moment: &Value, frames: &mut Reasons) {
    let ranges = moment["roots"][0]["ranges"].as_array();
    for range in ranges.into_iter().flatten() {
        let [first, last] = ["first_gfn", "last_gfn"].map(|name| range[name].as_u64().unwrap_or(0));
        let why = &range["why"];
        if let Some(reason) = why["reason"].as_str() {
            let reason = format!("{reason} {}", why["certain"]);
            *frames.entry(reason).or_default() += last + 1 - first;
        }
    }
}

/// Nobody listens any more.
pub fn is_tidy() -> Result<()> {
    for entry in fs::read_dir(format!("{TRACING}/instances"))? {
        let name = entry?.file_name();
        let is_left = name.to_string_lossy().starts_with("kvmrs-");
        ensure!(!is_left, "the tool has left {name:?}");
    }
    Ok(())
}
