// SPDX-License-Identifier: GPL-2.0

//! A dirty log is not handed over before writes to its pages are noticed again, and TLBs are flushed.

use kvmrs_model::kvm::log::{Report, WantedLog};

fn without_a_harvest() -> Report {
    Report(()) //~ E0423
}

fn without_rearming(wanted: WantedLog<'_>) -> Report {
    wanted.take().flush() //~ E0599
}

fn without_a_flush(wanted: WantedLog<'_>) -> Report {
    wanted.take().rearm(|_| false) //~ E0308
}

fn main() {}
