// SPDX-License-Identifier: GPL-2.0

//! Where a port leads to is replaced as a whole, and not changed: somebody may be sending by it.

use kvmrs_model::kvm::xen::{Caller, Destination, Event, Kind};

fn the_kind(caller: &Caller<'_>) {
    if let Some(assigned) = caller.assigned(1) {
        assigned.kind = Kind::Ipi; //~ E0594
    }
}

fn the_vcpu(caller: &Caller<'_>) {
    let assigned = caller.assigned(1).expect("it leads somewhere");
    if let Destination::Port(event) = &assigned.to {
        *event = Event::new(6, 1); //~ E0594
    }
}

fn main() {}
