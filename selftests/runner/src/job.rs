// SPDX-License-Identifier: GPL-2.0

//! What the host script asks for. `scripts/kvmrs/machine/boot.py` writes these as JSON.

use serde::Deserialize;

/// Where the initramfs holds the job.
pub const PATH: &str = "/job.json";

/// The serial port for events; the first one is the kernel's console.
pub const EVENT_PORT: &str = "/dev/ttyS1";

/// One boot's job.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Loaded in this order before the work starts.
    pub modules: Vec<Module>,
    /// Files of /proc and /sys to write, in this order, after the modules are loaded.
    #[serde(default)]
    pub settings: Vec<Setting>,
    /// The 9p tag of the tools root, if the work needs programs from there.
    #[serde(default)]
    pub share: Option<String>,
    /// What to do.
    pub work: Work,
}

/// A kernel module in the initramfs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Module {
    pub path: String,
    #[serde(default)]
    pub params: String,
    /// Load only where /proc/cpuinfo has this flag: picks the vendor's module.
    #[serde(default)]
    pub cpu_flag: Option<String>,
}

/// A value for a file of /proc or /sys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    pub path: String,
    pub value: String,
}

/// The kinds of work.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    Suite(Suite),
    Life(Life),
    Command(Command),
    Demo(Demo),
    Shell(Shell),
}

/// A shell for a person, whose terminal is so large and of that kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shell {
    pub rows: u16,
    pub columns: u16,
    pub term: String,
}

/// Test programs, each on every backend.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// The whole list runs on the first of these, then on the second.
    pub backends: Vec<String>,
    pub tests: Vec<Test>,
    /// Seconds between two signs of life of a running test.
    pub heartbeat: u64,
}

/// One test program with its arguments.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    pub name: String,
    pub program: String,
    #[serde(default)]
    pub args: Vec<String>,
    pub timeout: u64,
    /// VM types that the Rust backend declines: this many VMs of the test may stay on C.
    #[serde(default)]
    pub declined: u64,
    /// How often it may fail before that counts: for a test that races with itself.
    #[serde(default = "one")]
    pub attempts: usize,
    /// What its output has one of when it fails for the known reason. Other failures count at once.
    #[serde(default)]
    pub symptoms: Vec<String>,
    /// The list says why it fails, so there is no need to find out.
    #[serde(default)]
    pub explained: bool,
    /// It makes VMs on both backends, so that their numbers say nothing.
    #[serde(default)]
    pub mixed: bool,
}

fn one() -> usize {
    1
}

/// The module's life: load, unload, refusals, VMs of both kinds. `mmu_backend=rust` is among the
/// parameters that kvm.ko was loaded with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Life {
    /// Whether the vendor's module may use nested paging. If not, there is little to check.
    pub tdp_mmu: bool,
    pub module: String,
    pub name: String,
    /// The same module, built for a kernel with another version string.
    pub foreign: String,
    /// The program that keeps a VM.
    pub holder: String,
    /// How often to load and unload.
    pub rounds: u32,
    /// Parameters that the module must not take silently, whether they stop it from loading,
    /// and what the kernel log must say then.
    pub wrong_params: String,
    pub wrong_params_refused: bool,
    pub wrong_params_message: String,
}

/// A program of the tools root, or of the initramfs when `share` is not mounted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    pub argv: Vec<String>,
    pub timeout: u64,
    pub heartbeat: u64,
}

/// A guest on the Rust backend, to be watched.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Demo {
    pub module: String,
    pub name: String,
    /// Copied to /tmp, where programs of the tools root find them.
    pub files: Vec<String>,
    /// Made for the guest, this many bytes long and empty.
    pub disk: String,
    pub disk_size: u64,
    /// QEMU's command line, and the control socket that it names.
    pub argv: Vec<String>,
    pub qmp: String,
    /// The tool that shows what a VM maps.
    pub tool: String,
    /// Rounds of the guest's work before dirty logging, and how often that goes on and off.
    pub rounds: u32,
    pub cycles: u32,
    /// Seconds that anything may take.
    pub limit: u64,
}
