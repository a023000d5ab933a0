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
/// Number of rounds of each thread, and in a small program.
const ROUNDS: u64 = 12;
const FEW_ROUNDS: u64 = 5;
/// Number of steps after which a schedule counts as one that never ends.
const STEPS: usize = 2_000_000;

/// What runs in a schedule.
#[derive(Clone, Copy)]
struct Program {
    tasks: &'static [Task],
    rounds: u64,
    /// Frames, from a boundary of 1 GiB on.
    frames: &'static [i64],
    /// What it is about goes on from the beginning, and threads meet more often.
    is_small: bool,
}

impl Program {
    /// With the frames at the edges of two tables, at both sides of the boundary.
    const fn new(tasks: &'static [Task]) -> Self {
        Self {
            tasks,
            rounds: ROUNDS,
            frames: &[-512, -511, -2, -1, 0, 1],
            is_small: false,
        }
    }

    /// Many more schedules of it run in the same time.
    const fn small(tasks: &'static [Task]) -> Self {
        Self {
            tasks,
            rounds: FEW_ROUNDS,
            frames: &[-1, 0],
            is_small: true,
        }
    }

    fn frames(&self) -> Vec<u64> {
        let boundary = PAGES - 768;
        let frames = self.frames.iter();
        frames
            .map(|offset| boundary.wrapping_add_signed(*offset))
            .collect()
    }
}

/// One schedule: some format with some options.
fn once(program: Program) {
    let mut dice = Dice::new(seed(0));
    let format = formats()[dice.roll(4) as usize].1;
    let options = Options {
        nx_huge_pages: dice.roll(2) == 0,
        cpu_dirty_log: dice.roll(2) == 0 && format.ad_enabled,
        five_levels: dice.roll(2) == 0,
        dirty_rings: dice.roll(2) == 0,
    };
    let crowd = Crowd::new(format, options, program.tasks).with_frames(program.frames());
    let crowd = match program.is_small {
        true => crowd.logged(),
        false => crowd,
    };
    crowd.vm.breaks.set(dice.roll(u64::MAX));
    crowd.run(|round| round < program.rounds);
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
fn replay(file: &OsStr, program: Program) {
    let scheduler = ReplayScheduler::new_from_file(file).expect("the file that MODEL_REPLAY names");
    let mut config = config();
    config.failure_persistence = FailurePersistence::None;
    Runner::new(scheduler, config).run(move || once(program));
    println!("model: {file:?} does not fail any more");
}

fn run(name: &str, scheduler: impl Scheduler + 'static, program: Program) {
    let schedules = Runner::new(scheduler, config()).run(move || once(program));
    println!("model: shuttle, {name}: {schedules} interleavings");
}

fn check(name: &str, tasks: &'static [Task]) {
    check_program(name, Program::new(tasks));
}

/// Half of the schedules are random, half PCT's.
fn check_program(name: &str, program: Program) {
    if let Some(file) = std::env::var_os("MODEL_REPLAY") {
        return replay(&file, program);
    }
    let (seed, count) = match common::seconds() {
        Some(_) => (new_seed(), usize::MAX),
        None => (SEED, SCHEDULES),
    };
    let random = RandomScheduler::new_from_seed(seed, count);
    run(&format!("{name}, random"), random, program);
    let pct = PctScheduler::new_from_seed(seed, DEPTH, count);
    run(&format!("{name}, PCT"), pct, program);
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
fn harvest() {
    use Task::*;
    check_program("harvest", Program::small(&[Guest, Writer, Migrate]));
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
