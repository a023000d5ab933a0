// SPDX-License-Identifier: GPL-2.0

//! How long a vCPU was in each state.

mod common;

use common::config;
use kvmrs_model::{
    kvm::xen::{end_stay, RunState, Times},
    xen::times,
};
use proptest::prelude::*;

const RUNNING: RunState = RunState::Running;

fn ran(entry: u64, spent: [u64; 4], waited: u64) -> Times {
    Times {
        state: RUNNING,
        entry,
        spent,
        waited,
    }
}

fn enter(times: &mut Times, state: RunState, now: u64, waited: u64) {
    end_stay(times, |stay| times::enter(stay, state, now, waited));
}

#[test]
fn time_is_spent_in_the_state_that_is_left() {
    let mut times = ran(100, [40, 30, 20, 10], 5);
    enter(&mut times, RunState::Blocked, 110, 5);
    assert_eq!((times.state, times.entry), (RunState::Blocked, 110));
    assert_eq!(times.spent, [50, 30, 20, 10]);
    enter(&mut times, RUNNING, 117, 5);
    assert_eq!(times.spent, [50, 30, 27, 10]);
}

#[test]
fn what_the_task_waited_for_a_cpu_is_stolen_from_a_vcpu_that_runs() {
    let mut times = ran(100, [0; 4], 5);
    enter(&mut times, RUNNING, 110, 9);
    assert_eq!((times.spent, times.waited), ([6, 4, 0, 0], 9));
    times.state = RunState::Blocked;
    enter(&mut times, RUNNING, 120, 12);
    assert_eq!((times.spent, times.waited), ([6, 4, 10, 0], 12));
}

#[test]
fn no_more_is_stolen_than_has_passed() {
    let mut times = ran(100, [0; 4], 5);
    enter(&mut times, RUNNING, 110, 500);
    assert_eq!(times.spent, [0, 10, 0, 0]);
    enter(&mut times, RUNNING, 120, 400);
    assert_eq!(times.spent, [10, 10, 0, 0], "less than before is nothing");
}

#[test]
fn what_never_ran_was_offline() {
    let mut times = ran(0, [0; 4], 0);
    enter(&mut times, RUNNING, 70, 3);
    assert_eq!((times.state, times.spent), (RUNNING, [0, 0, 0, 70]));
}

#[test]
fn a_clock_that_is_set_back_costs_nothing() {
    let mut times = ran(100, [40, 30, 20, 10], 5);
    enter(&mut times, RunState::Runnable, 60, 8);
    assert_eq!((times.entry, times.spent), (100, [40, 30, 20, 10]));
    assert_eq!((times.state, times.waited), (RunState::Runnable, 8));
    enter(&mut times, RUNNING, 103, 8);
    assert_eq!((times.entry, times.spent), (103, [40, 33, 20, 10]));
}

proptest! {
    #![proptest_config(config(2000, "tests/regressions/xen_times.txt"))]

    /// The sum of all times is the entry time, whatever the clock and the scheduler do.
    #[test]
    fn the_times_add_up(steps in prop::collection::vec((0u64..4, any::<u32>(), any::<u64>()), 1..40)) {
        let mut times = ran(1, [1, 0, 0, 0], 0);
        for (state, now, waited) in steps {
            let before = times;
            enter(&mut times, RunState::new(state).expect("it is one"), now.into(), waited);
            prop_assert_eq!(times.spent.iter().sum::<u64>(), times.entry);
            prop_assert!(times.entry >= before.entry);
            prop_assert!(times.spent.iter().zip(before.spent).all(|(now, was)| *now >= was));
        }
    }
}
