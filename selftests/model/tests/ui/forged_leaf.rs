// SPDX-License-Identifier: GPL-2.0

//! A value is a leaf because `LeafSpte::new()` made it one, not because somebody says so.

use kvmrs_model::kvm::{LeafSpte, Level, Spte};

fn f(spte: Spte) -> LeafSpte {
    let level = Level::PG_4K;
    #[rustfmt::skip]
    let leaf = LeafSpte { spte, level }; //~ E0451
    leaf
}

fn main() {}
