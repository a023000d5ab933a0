// SPDX-License-Identifier: GPL-2.0

//! A cache that is not in use comes into use first. What is not valid cannot be published.

use kvmrs_model::kvm::{
    gpc::{Address, Closed, Found, GuestPage, Inactive, Sleeper},
    SlotsHeld,
};

fn moved(inactive: Inactive<'_>, task: &Sleeper<'_>) {
    inactive.move_to(Address::Guest(0), task); //~ E0599
}

fn deactivated_twice(inactive: Inactive<'_>) {
    inactive.deactivate(); //~ E0599
}

fn pinned(inactive: &Inactive<'_>, slots: &SlotsHeld<'_>) {
    let _ = GuestPage::pin(inactive, slots, 8); //~ E0308
}

fn not_looked_up(closed: Closed<'_>) {
    let _ = closed.commit(); //~ E0599
}

fn committed_twice(found: Found<'_>) {
    let _ = found.commit();
    let _ = found.commit(); //~ E0382
}

fn main() {}
