// SPDX-License-Identifier: GPL-2.0

//! Everything at the same time, on the machine's own threads: see [`common::crowd`].

mod common;

use common::{
    crowd::{Crowd, Task},
    Options,
};
use kvmrs_model::machine::formats;
use std::time::{Duration, Instant};

/// How long each format's run takes, unless `MODEL_SECONDS` says otherwise.
const TIME: Duration = Duration::from_secs(2);

/// Two guests' CPUs against all that the kernel does.
fn stress(format: usize, options: Options) {
    let tasks = [
        Task::Guest,
        Task::Guest,
        Task::Host,
        Task::Cache,
        Task::Cache,
        Task::Maintain,
        Task::Age,
        Task::Migrate,
    ];
    let crowd = Crowd::new(formats()[format].1, options, &tasks);
    let (vm, started) = (crowd.vm.clone(), Instant::now());
    let time = common::seconds().unwrap_or(TIME);
    crowd.run(|_| started.elapsed() < time);
    assert!(vm.breaks.given() > 0, "no walk ever gave way");
}

#[test]
fn npt() {
    stress(0, Options::default());
}

#[test]
fn npt_with_the_nx_workaround() {
    stress(
        0,
        Options {
            nx_huge_pages: true,
            ..Options::default()
        },
    );
}

#[test]
fn ept_with_pml() {
    stress(
        2,
        Options {
            cpu_dirty_log: true,
            nx_huge_pages: true,
            ..Options::default()
        },
    );
}

#[test]
fn ept_without_accessed_and_dirty_bits() {
    stress(3, Options::default());
}
