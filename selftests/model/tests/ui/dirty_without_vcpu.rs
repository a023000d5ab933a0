// SPDX-License-Identifier: GPL-2.0

//! The MMU marks pages dirty for a vCPU and not without one.

use kvmrs_model::kvm::{Gfn, MemSlot, Vm};

fn f(vm: &Vm, slot: &MemSlot, gfn: Gfn) {
    vm.mark_page_dirty(slot, gfn); //~ E0599
}

fn main() {}
