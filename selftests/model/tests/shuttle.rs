// SPDX-License-Identifier: GPL-2.0

//! The crowd of [`common::crowd`] on shuttle's threads: thousands of schedules, each of which can be
//! run again.
//!
//! Two kinds of scheduler: one rolls the dice at each step, the other (PCT) lets the thread with
//! the highest priority run and changes priorities at a few points, which finds what needs one
//! thread to be slow for long. The formats, the guest's accesses and all other choices belong to the
//! schedule.
//!
//! Settings, from the environment: `MODEL_SECONDS`: so long for each test, from a new seed, in the
//! place of a fixed number of schedules. `MODEL_REPLAY`: the file of a schedule that failed.

mod common;

use common::{
    crowd::{Crowd, Dice, Task},
    Options, PAGES,
};
use kvmrs_model::{atomic::seed, machine::formats};
use shuttle::{
    scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler},
    Config, FailurePersistence, MaxSteps, Runner,
};
use std::{ffi::OsStr, path::PathBuf};

/// Number of schedules of a test.
const SCHEDULES: usize = 3000;
/// Where the schedules of an ordinary run come from.
const SEED: u64 = 0x6b76_6d5f_7273;
/// How many changes of priority PCT makes.
const DEPTH: usize = 4;
/// Number of rounds of each thread.
const ROUNDS: u64 = 12;
/// Number of steps after which a schedule counts as one that never ends.
const STEPS: usize = 2_000_000;

/// The frames at the edges of two tables, at both sides of a boundary of 1 GiB.
fn frames() -> Vec<u64> {
    let boundary = PAGES - 768;
    [-512, -511, -2, -1, 0, 1]
        .map(|offset| boundary.wrapping_add_signed(offset))
        .into()
}

/// One schedule: some format with some options.
fn once(tasks: &[Task]) {
    let mut dice = Dice::new(seed(0));
    let format = formats()[dice.roll(4) as usize].1;
    let options = Options {
        nx_huge_pages: dice.roll(2) == 0,
        cpu_dirty_log: dice.roll(2) == 0 && format.ad_enabled,
        five_levels: dice.roll(2) == 0,
        dirty_rings: dice.roll(2) == 0,
    };
    let crowd = Crowd::new(format, options, tasks).with_frames(frames());
    crowd.vm.breaks.set(dice.roll(u64::MAX));
    crowd.run(|round| round < ROUNDS);
}

fn config() -> Config {
    let mut config = Config::new();
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    config.failure_persistence = FailurePersistence::File(Some(directory));
    config.stack_size = 1 << 20;
    config.max_steps = MaxSteps::FailAfter(STEPS);
    config.max_time = common::seconds();
    config.silence_warnings = true;
    config
}

/// Runs the schedule in `file` again.
fn replay(file: &OsStr, tasks: &'static [Task]) {
    let scheduler = ReplayScheduler::new_from_file(file).expect("the file that MODEL_REPLAY names");
    let mut config = config();
    config.failure_persistence = FailurePersistence::None;
    Runner::new(scheduler, config).run(move || once(tasks));
    println!("model: {file:?} does not fail any more");
}

fn run(name: &str, scheduler: impl Scheduler + 'static, tasks: &'static [Task]) {
    let schedules = Runner::new(scheduler, config()).run(move || once(tasks));
    println!("model: shuttle, {name}: {schedules} interleavings");
}

/// Half of the schedules are random, half PCT's.
fn check(name: &str, tasks: &'static [Task]) {
    if let Some(file) = std::env::var_os("MODEL_REPLAY") {
        return replay(&file, tasks);
    }
    let (seed, count) = match common::seconds() {
        Some(_) => (new_seed(), usize::MAX),
        None => (SEED, SCHEDULES),
    };
    let random = RandomScheduler::new_from_seed(seed, count);
    run(&format!("{name}, random"), random, tasks);
    let pct = PctScheduler::new_from_seed(seed, DEPTH, count);
    run(&format!("{name}, PCT"), pct, tasks);
}

/// Another one in each run.
fn new_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

#[test]
fn dirty_log() {
    use Task::*;
    check("dirty log", &[Guest, Guest, Guest, Migrate]);
}

#[test]
fn moving_memory() {
    use Task::*;
    check(
        "moving memory",
        &[Guest, Guest, Host, Host, Age, ZapAllFast],
    );
}

#[test]
fn huge_pages() {
    use Task::*;
    check("huge pages", &[Guest, Guest, Host, Split, Recover, Zap]);
}

#[test]
fn nx_workaround() {
    use Task::*;
    check(
        "NX workaround",
        &[Guest, Guest, Recover, NxWorker, NxSwitch, Host],
    );
}

#[test]
fn slots() {
    use Task::*;
    check("slots", &[Guest, Guest, Host, Slots, Age, NxWorker]);
}

#[test]
fn pfn_caches() {
    use Task::*;
    check("pfn caches", &[Cache, Cache, Cache, Host, Host, Slots]);
}

#[test]
fn everything() {
    use Task::*;
    check(
        "everything",
        &[Guest, Guest, Guest, Host, Migrate, Age, Maintain, Maintain],
    );
}
