// SPDX-License-Identifier: GPL-2.0

//! The module's life: it comes and goes, and VMs of both backends with it.

use crate::backend;
use crate::choice;
use crate::events::{emit, mark, Event, Outcome, TestResult};
use crate::holder::Holder;
use crate::job::Life;
use crate::kernel_log::KernelLog;
use crate::order::Watch;
use anyhow::{bail, ensure, Context, Result};
use kvmtest::backend::{C, RUST};
use kvmtest::inside::Inside;
use kvmtest::{module, sysfs};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::thread;
use std::time::{Duration, Instant};

/// In every so many rounds of loading, a VM runs.
const VM_EVERY: u32 = 10;
/// A VM that ends is gone by then.
const PATIENCE: Duration = Duration::from_secs(60);

type Check = fn(&Life) -> Result<()>;

const CHECKS: [(&str, Check); 10] = [
    // The first one to write the parameter comes after this.
    ("choice_waits_for_its_backend", choice::waits),
    ("load_and_unload", load_and_unload),
    ("unload_refused_while_a_vm_lives", unload_refused),
    ("module_stays_until_xen_is_torn_down", stays_for_xen),
    ("vm_made_before_loading_stays_on_c", stays_on_c),
    ("c_and_rust_vms_at_once", both_at_once),
    ("page_tables_of_a_vm_on_c", looked_into),
    ("unknown_backend_refused", choice::unknown),
    ("wrong_parameter_is_a_clear_error", wrong_parameter),
    ("wrong_kernel_is_a_clear_error", wrong_kernel),
];

/// For a vendor module that was told not to use nested paging.
const WITHOUT_TDP_MMU: [(&str, Check); 1] = [("choice_without_tdp_mmu", choice::without_tdp_mmu)];

/// Runs every check, each from "the module is not loaded" to the same.
pub fn run(life: &Life) -> Result<()> {
    ensure!(
        backend::selectable(),
        "this kernel's kvm.ko has no parameter mmu_backend"
    );
    let checks = if life.tdp_mmu {
        &CHECKS[..]
    } else {
        &WITHOUT_TDP_MMU
    };
    for &(name, check) in checks {
        emit(&Event::Start {
            test: name,
            args: "",
            backend: RUST,
        });
        mark(&format!("start {name}"));
        let start = Instant::now();
        let result = check(life).and_then(|()| nothing_left(life));
        let reason = result
            .as_ref()
            .err()
            .map(|error| format!("{error:#}"))
            .unwrap_or_default();
        emit(&Event::Result(TestResult {
            test: name,
            args: "",
            backend: RUST,
            result: if result.is_ok() {
                Outcome::Pass
            } else {
                Outcome::Fail
            },
            seconds: start.elapsed().as_secs_f64(),
            reason,
            attempts: 1,
            complaint: None,
            tail: Vec::new(),
            vms: None,
        }));
        // A check that stopped half-way must not fail the next one.
        let _ = module::unload(&life.name);
    }
    Ok(())
}

/// Nothing of the module or of a VM is to be found once both are gone.
fn nothing_left(life: &Life) -> Result<()> {
    ensure!(!loaded(life), "the module is still loaded");
    if let Some(left) = backend::leftovers()? {
        bail!(left);
    }
    for path in [
        "/proc/vmallocinfo",
        "/proc/slabinfo",
        "/proc/modules",
        "/proc/kallsyms",
    ] {
        let text = sysfs::read(path)?;
        let line = text.lines().find(|line| mentions(line, &life.name));
        ensure!(
            line.is_none(),
            "{path} still has: {}",
            line.unwrap_or_default()
        );
    }
    Ok(())
}

/// `[kvm_rs]` or a word of its own, not a part of the kernel's own version string.
fn mentions(line: &str, name: &str) -> bool {
    line.split(|c: char| c.is_whitespace() || "[]".contains(c))
        .any(|word| word == name)
}

fn loaded(life: &Life) -> bool {
    sysfs::exists(&format!("/sys/module/{}", life.name))
}

pub fn load(life: &Life) -> Result<()> {
    module::load(&life.module, "")
}

pub fn unload(life: &Life) -> Result<()> {
    module::unload(&life.name).context("unloading the module")
}

fn load_and_unload(life: &Life) -> Result<()> {
    for round in 0..life.rounds {
        load(life)?;
        if round % VM_EVERY == 0 {
            use_a_vm(life)?;
        }
        unload(life)?;
        ensure!(!loaded(life), "still loaded after round {}", round + 1);
    }
    Ok(())
}

/// A VM that comes and goes right before the module does: its pages are freed by RCU.
fn use_a_vm(life: &Life) -> Result<()> {
    backend::choose(RUST)?;
    let mut vm = Holder::start(&life.holder)?;
    ensure!(
        backend::count(RUST)?.alive == 1,
        "the VM is not on the Rust backend"
    );
    vm.touch()?;
    vm.stop()
}

fn unload_refused(life: &Life) -> Result<()> {
    load(life)?;
    backend::choose(RUST)?;
    let mut vm = Holder::start(&life.holder)?;
    vm.touch()?;
    match module::unload(&life.name) {
        Err(error) if is_busy(&error) => {}
        Err(error) => bail!("unloading a used module: {error}"),
        Ok(()) => bail!("the module could be unloaded under a VM"),
    }
    vm.touch()?;
    vm.stop()?;
    unload(life)
}

/// Whether the kernel refused because somebody uses the module.
fn is_busy(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::ResourceBusy
    )
}

/// A VM with Xen's data ends while somebody tries to unload the module all the time: the last thing
/// that the VM gives back is the module.
fn stays_for_xen(life: &Life) -> Result<()> {
    load(life)?;
    backend::choose(RUST)?;
    let mut vm = Holder::start_xen(&life.holder)?;
    vm.touch()?;
    let watch = Watch::begin("kvm:kvm_xen_destroy_vm", &life.name)?;
    let unloading = thread::scope(|scope| {
        let unloading = scope.spawn(|| unload_when_possible(life));
        let stopped = vm.stop();
        stopped.and(unloading.join().expect("the unloading thread"))
    });
    let order = watch.end()?;
    unloading?;
    ensure!(
        order == ["call", "put", "free"],
        "order of Xen's end (call), the module reference's (put) and the module's (free): {order:?}"
    );
    Ok(())
}

/// Tries until the module can go.
fn unload_when_possible(life: &Life) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        match module::unload(&life.name) {
            Err(error) if is_busy(&error) => {}
            other => return other.context("unloading the module"),
        }
    }
    bail!("the module was in use for {PATIENCE:?}")
}

fn stays_on_c(life: &Life) -> Result<()> {
    let mut old = Holder::start(&life.holder)?;
    old.touch()?;
    load(life)?;
    let before = backend::count(RUST)?.created;
    backend::choose(RUST)?;
    old.touch()?;
    ensure!(
        backend::count(RUST)?.created == before,
        "a VM moved to the Rust backend"
    );
    unload(life).context("a VM on C holds the module")?;
    old.touch()?;
    old.stop()
}

fn both_at_once(life: &Life) -> Result<()> {
    load(life)?;
    backend::choose(C)?;
    let mut on_c = Holder::start(&life.holder)?;
    backend::choose(RUST)?;
    let mut on_rust = Holder::start(&life.holder)?;
    let alive = (backend::count(C)?.alive, backend::count(RUST)?.alive);
    ensure!(alive == (1, 1), "VMs alive on (C, Rust): {alive:?}");
    for _ in 0..5 {
        on_c.touch()?;
        on_rust.touch()?;
    }
    on_rust.stop()?;
    on_c.touch()?;
    on_c.stop()?;
    unload(life)
}

/// The files of a VM on C need the module while they are open, and no longer.
fn looked_into(life: &Life) -> Result<()> {
    let mut vm = Holder::start(&life.holder)?;
    vm.touch()?;
    let inside = Inside::of_process(vm.pid())?;
    let open = || inside.open_map();
    no_backend(open())?;
    load(life)?;
    let mut file = open().context("opening the map of a VM that is older than the module")?;
    let refused = module::unload(&life.name).is_err_and(|error| is_busy(&error));
    ensure!(refused, "the module could be unloaded under an open file");
    let mut map = String::new();
    file.read_to_string(&mut map)?;
    ensure!(
        map.starts_with("root "),
        "a VM that runs has the map '{map}'"
    );
    inside.is_sound()?;
    drop(file);
    unload(life).context("a file that was closed holds the module")?;
    no_backend(open())?;
    vm.touch()?;
    vm.stop()
}

fn no_backend(opened: io::Result<File>) -> Result<()> {
    let error = opened
        .map(drop)
        .map_err(|error| Errno::from_io_error(&error));
    ensure!(
        error == Err(Some(Errno::NODEV)),
        "opening a file that no backend fills gives {error:?}"
    );
    Ok(())
}

fn wrong_parameter(life: &Life) -> Result<()> {
    let mut log = KernelLog::open()?;
    let refused = module::load(&life.module, &life.wrong_params).is_err();
    ensure!(
        refused == life.wrong_params_refused,
        "loading with {} went wrong",
        life.wrong_params
    );
    log.expect(&life.wrong_params_message)?;
    if refused {
        Ok(())
    } else {
        unload(life)
    }
}

fn wrong_kernel(life: &Life) -> Result<()> {
    let mut log = KernelLog::open()?;
    ensure!(
        module::load(&life.foreign, "").is_err(),
        "a module for another kernel was accepted"
    );
    log.expect("version magic")
}
