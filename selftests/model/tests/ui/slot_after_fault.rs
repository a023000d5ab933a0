// SPDX-License-Identifier: GPL-2.0

//! Memslots, and their generation, are read while something keeps them, and no longer. In the model
//! that is the vCPU's VM.

use kvmrs_model::kvm::{fault::Request, MemSlot, PageFault, Vcpu};

fn slot_kept_too_long(vcpu: Vcpu, request: Request<'static>) -> bool {
    let slot = PageFault::new(&vcpu, request).slot();
    drop(vcpu); //~ E0505
    slot.is_some_and(MemSlot::is_dirty_tracked)
}

fn generation_without_a_hold(vcpu: &Vcpu) -> u64 {
    vcpu.memslots_generation() //~ E0061
}

fn main() {}
