// SPDX-License-Identifier: GPL-2.0

//! A dirty log is not handed over before writes to its pages are noticed again, and TLBs are flushed.

use kvmrs_model::kvm::log::{Report, RingPages, WantedLog};

fn without_a_harvest() -> Report {
    Report(()) //~ E0423
}

fn without_rearming(wanted: WantedLog<'_>) -> Report {
    wanted.take().flush() //~ E0599
}

fn without_a_flush(wanted: WantedLog<'_>) -> Report {
    wanted.take().rearm(|_| None) //~ E0308
}

fn with_a_word_for_a_flush(wanted: WantedLog<'_>) -> Report {
    wanted.take().rearm(|_| true).flush() //~ E0308
}

fn with_the_flush_left_to_c(wanted: WantedLog<'_>) {
    wanted.take().rearm(|_| None).into_caller() //~ E0599
}

fn as_pages_of_a_ring(wanted: WantedLog<'_>) -> RingPages<'_> {
    RingPages(wanted.take()) //~ E0423
}

fn main() {}
