// SPDX-License-Identifier: GPL-2.0

//! What the tool `kvmrs` says if there is nothing to see, or if it may not see it.

use super::tool::{command, prepared, text};
use super::tool_why::is_tidy;
use super::{mixed, test};
use crate::harness::Test;
use anyhow::{ensure, Context, Result};
use kvmtest::backend::{self, C};
use kvmtest::memory::{Backing, Memory, PAGE_2M};
use kvmtest::module;
use kvmtest::vm::Vm;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Error, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;

pub const TESTS: &[Test] = &[
    test("tool_errors", of_vms),
    test("tool_without_root", without_root),
    test("tool_without_file_systems", without_file_systems),
    test("tool_of_a_vm_that_ends", of_a_vm_that_ends),
    mixed("tool_without_module", without_module),
];

/// A user who owns nothing.
const NOBODY: u32 = 65534;
const DEBUGFS: &str = "/sys/kernel/debug";
const TRACEFS: &str = "/sys/kernel/tracing";
/// What the machine has loaded, and from where.
const JOB: &str = "/job.json";

/// The tool shows nothing, says so, and has its exit code for errors.
fn fails(mut command: Command, wanted: &str) -> Result<()> {
    let output = command.output()?;
    let words = String::from_utf8(output.stderr)?;
    ensure!(
        output.status.code() == Some(2) && output.stdout.is_empty() && words.contains(wanted),
        "{command:?} says '{words}', and not '{wanted}'; {:?}",
        output.status
    );
    Ok(())
}

fn of_vms(backend: &str) -> Result<()> {
    let vm = Vm::new(backend)?;
    let name = vm.inside.name().to_string();
    ensure!(text(&["map", &name])?.starts_with("no page tables"));
    drop(vm);
    fails(command(&["map", &name])?, "there is no VM")
}

/// Neither the VMs nor the tracer are for everybody.
fn without_root(backend: &str) -> Result<()> {
    let vm = Vm::new(backend)?;
    let name = vm.inside.name();
    let nobody = |words: &[&str]| -> Result<Command> {
        let mut command = command(words)?;
        command.uid(NOBODY).gid(NOBODY);
        Ok(command)
    };
    let commands: [&[&str]; 5] = [
        &["map", name],
        &["top", "--once"],
        &["watch", name],
        &["check"],
        &["check", name],
    ];
    for words in commands {
        fails(nobody(words)?, "run kvmrs as root")?;
    }
    fails(nobody(&["holds"])?, "tracing is not permitted")?;
    let folder = "/tmp/kvmrs-open";
    fs::create_dir_all(format!("{folder}/1-1"))?;
    let words = ["--debugfs", folder, "watch", "1-1", "--why"];
    let refused = fails(nobody(&words)?, "tracing is not permitted");
    fs::remove_dir_all(folder)?;
    refused
}

/// The tool sees a machine without debugfs, and one without tracefs.
fn without_file_systems(backend: &str) -> Result<()> {
    let vm = Vm::new(backend)?;
    let name = vm.inside.name();
    let commands: [&[&str]; 2] = [&["watch", name, "--why"], &["holds"]];
    for words in commands {
        let command = command(words)?;
        elsewhere(TRACEFS, || {
            fails(command, "tracefs is not mounted: mount -t tracefs")
        })?;
    }
    let commands: [&[&str]; 3] = [&["map", name], &["top", "--once"], &["check"]];
    for words in commands {
        let command = command(words)?;
        elsewhere(DEBUGFS, || {
            fails(command, "debugfs is not mounted: mount -t debugfs")
        })?;
    }
    Ok(())
}

/// Does something where `place` is not mounted. Others have it still.
fn elsewhere(place: &str, what: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    let place = std::ffi::CString::new(place)?;
    let apart = || -> Result<()> {
        // SAFETY: this thread alone, which ends soon, gets its own mounts and its own directory.
        let failed = unsafe { libc::unshare(libc::CLONE_NEWNS) };
        ensure!(failed == 0, "unshare: {}", Error::last_os_error());
        // SAFETY: the path is a string of C's.
        let failed = unsafe { libc::umount2(place.as_ptr(), libc::MNT_DETACH) };
        ensure!(failed == 0, "umount: {}", Error::last_os_error());
        what()
    };
    thread::scope(|scope| scope.spawn(apart).join().expect("nothing panics here"))
}

/// Somebody watches until the end of the VM, and is told of it.
fn of_a_vm_that_ends(backend: &str) -> Result<()> {
    let memory = Memory::new(PAGE_2M, Backing::Huge)?;
    let (vm, vcpu) = prepared(backend, &memory)?;
    let name = vm.inside.name().to_string();
    let words = ["watch", &name, "--why", "--json", "--interval", "0.1"];
    let mut command = command(&words)?;
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut watching = command.spawn()?;
    let mut looks = BufReader::new(watching.stdout.take().context("no output")?).lines();
    looks.next().context("no line")??;
    drop((vm, vcpu));
    // Until the tool ends.
    looks.try_for_each(|line| line.map(drop))?;
    let mut words = String::new();
    let errors = watching.stderr.take().context("no errors")?;
    BufReader::new(errors).read_to_string(&mut words)?;
    let code = watching.wait()?.code();
    ensure!(
        code == Some(2) && words.contains(&format!("VM {name} is gone")),
        "it ended with {code:?}, and said '{words}'"
    );
    is_tidy()
}

/// A VM on C is there without the module, but nobody can look into it.
fn without_module(_: &str) -> Result<()> {
    let _choice = backend::choose_for_now(C)?;
    let vm = Vm::new(C)?;
    let name = vm.inside.name();
    let loaded = Unloaded::new()?;
    fails(command(&["map", name])?, "load it: modprobe kvm_rs")?;
    fails(command(&["watch", name])?, "load it: modprobe kvm_rs")?;
    ensure!(text(&["top", "--once"])?.contains(name), "no figures");
    drop(loaded);
    text(&["map", name]).map(drop)
}

/// The module, which comes back in the end.
struct Unloaded(String);

impl Unloaded {
    fn new() -> Result<Self> {
        let job: Value = serde_json::from_str(&fs::read_to_string(JOB)?)?;
        let modules = job["modules"].as_array().context("no modules")?;
        let paths = modules.iter().filter_map(|module| module["path"].as_str());
        let path = paths.into_iter().find(|path| path.ends_with("/kvm_rs.ko"));
        let path = path.context("it was not loaded")?.to_string();
        module::unload(module::NAME)?;
        Ok(Self(path))
    }
}

impl Drop for Unloaded {
    fn drop(&mut self) {
        module::load(&self.0, "").expect("it was loaded before");
    }
}
