// SPDX-License-Identifier: GPL-2.0

//! That TLBs were flushed is not for a harvest to say.

use kvmrs_model::kvm::{Flushed, MemSlot, Vm};

fn flushed<'a>(vm: &'a Vm, slot: Option<&'a MemSlot>) -> Flushed<'a> {
    Flushed { vm, slot } //~ E0451
}

fn main() {}
