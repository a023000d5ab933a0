// SPDX-License-Identifier: GPL-2.0

//! Nobody sleeps with a page pinned.

use kvmrs_model::{
    kvm::{
        gpc::{Gpc, GuestPage, Sleeper},
        SlotsHeld,
    },
    pfncache::refresh::refresh,
};

fn refreshes(cache: &Gpc, slots: &mut SlotsHeld<'_>) {
    let page = GuestPage::pin(cache, slots, 8);
    let task = Sleeper::new(slots); //~ E0502
    drop((page, task));
}

fn pins_by_what_the_task_has(cache: &Gpc, mut task: Sleeper<'_>) {
    let page = GuestPage::pin(cache, task.slots(), 8);
    let _ = refresh(cache, 8, &mut task); //~ E0502
    drop(page);
}

fn main() {}
