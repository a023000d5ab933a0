// SPDX-License-Identifier: GPL-2.0

//! The number of a port is compared with what the guest has before it is used.

use kvmrs_model::{
    kvm::{
        gpc::Gpc,
        xen::{Port, Target},
        SlotsHeld,
    },
    xen::evtchn::send,
};

fn raw(shared: &Gpc, slots: &SlotsHeld<'_>, target: &Target) {
    send(shared, slots, target, 5); //~ E0308
}

fn forged() -> Port {
    Port::from(5000) //~ E0308
}

fn main() {}
