// SPDX-License-Identifier: GPL-2.0

//! The init of the test machine.
//!
//! The host script boots a kernel with this program as `/init` and a job in `/job.json`. It
//! mounts what programs expect, loads the modules, does the job and reports on the second
//! serial port. Its last event is the positive end mark: without it, the host script counts
//! the boot as failed, whatever else was said.

mod backend;
mod child;
mod choice;
mod command;
mod demo;
mod events;
mod holder;
mod job;
mod kernel_log;
mod late;
mod life;
mod order;
mod suite;
mod system;

use anyhow::{Context, Result};
use events::{emit, Event};
use job::{Job, Work};
use kvmtest::{module, sysfs};

fn main() {
    // A panic would end PID 1 and so panic the kernel, which the host script reports too, but
    // a message on the event port is the clearer of the two.
    if let Err(error) = run() {
        emit(&Event::Fatal {
            reason: format!("{error:#}"),
        });
    }
    events::drain();
    system::power_off();
}

fn run() -> Result<()> {
    system::mount_basics()?;
    events::open(job::EVENT_PORT)?;
    let text =
        std::fs::read_to_string(job::PATH).with_context(|| format!("reading {}", job::PATH))?;
    let job: Job = serde_json::from_str(&text).with_context(|| format!("parsing {}", job::PATH))?;
    prepare(&job)?;
    emit(&Event::Ready {
        facts: system::facts(),
    });
    match &job.work {
        Work::Suite(suite) => suite::run(suite)?,
        Work::Life(life) => life::run(life)?,
        Work::Command(command) => command::run(command)?,
        Work::Demo(demo) => demo::run(demo)?,
        Work::Shell(shell) => command::shell(shell)?,
    }
    emit(&Event::End);
    Ok(())
}

/// Everything a job asks for before its work starts.
fn prepare(job: &Job) -> Result<()> {
    for module in &job.modules {
        if module.cpu_flag.as_deref().is_none_or(system::cpu_has) {
            module::load(&module.path, &module.params)?;
        }
    }
    if sysfs::exists("/dev/kvm") {
        backend::keep_one_vm()?;
    }
    for setting in &job.settings {
        system::set(&setting.path, &setting.value)?;
    }
    if let Some(tag) = &job.share {
        system::mount_share(tag)?;
    }
    Ok(())
}
