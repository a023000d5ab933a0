// SPDX-License-Identifier: GPL-2.0

//! A frozen entry offers nothing that could be done with it.

use kvmrs_model::kvm::{Shared, State};

fn f(state: State<'_, Shared>) {
    match state {
        State::Frozen(entry) => drop(entry), //~ E0532
        _ => {}
    }
}

fn main() {}
