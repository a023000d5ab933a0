// SPDX-License-Identifier: GPL-2.0

//! A transition uses its entry up: what was read is not acted on twice.

use kvmrs_model::kvm::{table::Leaf, Shared};

fn f(leaf: Leaf<'_, Shared>) {
    let _ = leaf.zap();
    let _ = leaf.zap(); //~ E0382
}

fn main() {}
