// SPDX-License-Identifier: GPL-2.0

//! A page is pinned with the memory slots held that say where it is.

use kvmrs_model::kvm::{
    gpc::{Gpc, GuestPage},
    SlotsHeld, Vm,
};

fn without(cache: &Gpc) {
    let _ = GuestPage::pin(cache, 8); //~ E0061
}

fn with_the_vm(cache: &Gpc, vm: &Vm) {
    let _ = GuestPage::pin(cache, vm, 8); //~ E0308
}

fn longer(cache: &Gpc, slots: SlotsHeld<'_>) {
    let page = GuestPage::pin(cache, &slots, 8);
    drop(slots); //~ E0505
    drop(page);
}

fn main() {}
