// SPDX-License-Identifier: GPL-2.0

//! A leaf that is made for a fault is put in its place with the page in the dirty log, or not at all.

use kvmrs_model::{
    kvm::{table::Absent, Gfn, MemSlot, Shared, Vcpu},
    tdp_mmu::leaf::NewLeaf,
};

fn taken_out(new: NewLeaf<'_>, absent: Absent<'_, Shared>) {
    let _ = absent.map(new.leaf); //~ E0616
}

fn marked_once(vcpu: &Vcpu, slot: &MemSlot, gfn: Gfn) {
    vcpu.mark_page_dirty(slot, gfn); //~ E0624
}

fn main() {}
