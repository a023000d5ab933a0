// SPDX-License-Identifier: GPL-2.0

//! Rates of VMs that were there at the last look, and of those that were not.

use crate::figures::{Column, Figures, Row, COLUMNS};
use std::time::Duration;

const TIME: Duration = Duration::from_secs(2);

fn figures(faults: i64, wait: i64) -> Figures {
    [("pf_taken", faults), ("mmu_lock_wait_ns", wait)]
        .map(|(name, value)| (name.into(), value))
        .into()
}

/// The cells of a VM with 30 faults and 10 ms of waits.
fn cells(before: Option<(Option<&Figures>, Duration)>) -> [String; 2] {
    let row = Row::of("431-11".into(), None, figures(30, 10_000_000), before);
    let cell = |title| {
        let is_it = |column: &&Column| column.title == title;
        row.cell(COLUMNS.iter().find(is_it).expect("a column"))
    };
    ["faults/s", "wait ms/s"].map(cell)
}

#[test]
fn an_old_vm_shows_what_grew() {
    let before = figures(10, 4_000_000);
    assert_eq!(cells(Some((Some(&before), TIME))), ["10", "3.0"]);
}

#[test]
fn a_new_vm_grew_from_nothing() {
    assert_eq!(cells(Some((None, TIME))), ["15", "5.0"]);
}

#[test]
fn a_new_figure_grew_from_nothing() {
    let mut before = figures(10, 0);
    before.remove("mmu_lock_wait_ns");
    assert_eq!(cells(Some((Some(&before), TIME))), ["10", "5.0"]);
}

#[test]
fn the_first_look_has_no_rates() {
    assert_eq!(cells(None), ["30", "10.0"]);
}
