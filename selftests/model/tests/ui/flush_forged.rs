// SPDX-License-Identifier: GPL-2.0

//! The need of a flush arises from transitions, and is not made up, copied or added twice.

use kvmrs_model::kvm::{Flush, PendingFlush};

fn f() -> Flush {
    Flush(()) //~ E0423
}

fn g() -> Flush {
    Flush::owed() //~ E0624
}

fn h(flush: Flush, pending: &mut PendingFlush<'_>) {
    pending.add(flush);
    pending.add(flush); //~ E0382
}

fn main() {}
