// SPDX-License-Identifier: GPL-2.0

//! Who may not sleep has no `Sleeper`, and cannot make one of the slots that somebody else holds.

use kvmrs_model::{
    kvm::{
        gpc::{Gpc, Sleeper},
        SlotsHeld,
    },
    pfncache::refresh::refresh,
};

fn in_an_interrupt(cache: &Gpc, slots: &SlotsHeld<'_>) {
    let _ = refresh(cache, 8, slots); //~ E0308
    let _ = Sleeper::new(slots); //~ E0308
}

fn main() {}
