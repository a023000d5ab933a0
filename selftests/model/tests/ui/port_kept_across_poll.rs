// SPDX-License-Identifier: GPL-2.0

//! What a port leads to may be gone after a poll, which gives the hold of the slots up.

use kvmrs_model::kvm::xen::Caller;

fn port_kept_across_poll(caller: &mut Caller<'_>) {
    let entry = caller.assigned(1);
    caller.sleep(None); //~ E0502
    drop(entry);
}

fn main() {}
