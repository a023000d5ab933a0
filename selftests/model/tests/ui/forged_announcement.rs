// SPDX-License-Identifier: GPL-2.0

//! Nobody makes up that a change of the host has its place, or that a task may sleep.

use kvmrs_model::{
    kvm::{gpc::Sleeper, Announced, SlotsHeld, Vm},
    mm::HostRange,
};

fn announced(vm: &Vm, range: HostRange) {
    Announced { vm, range }.invalidate_caches(); //~ E0451
}

fn may_sleep(slots: &SlotsHeld<'_>) {
    let _ = Sleeper { slots }; //~ E0451
}

fn main() {}
