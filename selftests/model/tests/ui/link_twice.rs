// SPDX-License-Identifier: GPL-2.0

//! A table is linked once, and is nobody's own from then on.

use kvmrs_model::kvm::{table::Absent, table::NewTable, Shared};

fn f(first: Absent<'_, Shared>, second: Absent<'_, Shared>, new: NewTable) {
    let _ = first.link(new);
    let _ = second.link(new); //~ E0382
}

fn g(absent: Absent<'_, Shared>, new: NewTable) {
    let _ = absent.link(new);
    drop(new); //~ E0382
}

fn main() {}
