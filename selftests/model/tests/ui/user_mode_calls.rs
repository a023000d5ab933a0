// SPDX-License-Identifier: GPL-2.0

//! Only the guest's kernel is answered.

use kvmrs_model::xen::hypercall::{Kernel, Registers};

fn not_looked_at(registers: &Registers) {
    let _ = registers.call(registers.kernel()); //~ E0308
}

fn forged(registers: &Registers) {
    let _ = registers.call(Kernel(())); //~ E0423
}

fn main() {}
