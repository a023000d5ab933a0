// SPDX-License-Identifier: GPL-2.0

//! What a mode does to memory is for transitions alone: nobody else gets the right to write, nor
//! gets there without it, be the mode a type or a parameter.

use kvmrs_model::kvm::{lock::MayWrite, spte::SpteCell, Exclusive, Level, Locked, Shared, Spte};

fn forged() -> MayWrite {
    MayWrite(()) //~ E0423
}

fn without_it(cell: &SpteCell, value: Spte) {
    let _ = Exclusive::replace(cell, value, value, Level::MAX); //~ E0061
}

fn exclusive(cell: &SpteCell, value: Spte) {
    let _ = Exclusive::replace(MayWrite::transition(), cell, value, value, Level::MAX); //~ E0624
    let _ = Exclusive::clear(MayWrite::transition(), cell, value, 1); //~ E0624
    let _ = Exclusive::replace_link(MayWrite::transition(), cell, value, value); //~ E0624
    let _ = Exclusive::take(MayWrite::transition(), cell, Level::MAX); //~ E0624
}

fn shared(cell: &SpteCell, value: Spte) {
    let _ = Shared::replace(MayWrite::transition(), cell, value, value, Level::MAX); //~ E0624
    let _ = Shared::clear(MayWrite::transition(), cell, value, 1); //~ E0624
    let _ = Shared::replace_link(MayWrite::transition(), cell, value, value); //~ E0624
    let _ = Shared::take(MayWrite::transition(), cell, Level::MAX); //~ E0624
}

fn generic<M: Locked>(cell: &SpteCell, value: Spte) {
    let _ = M::replace(MayWrite::transition(), cell, value, value, Level::MAX); //~ E0624
    let _ = M::clear(MayWrite::transition(), cell, value, 1); //~ E0624
    let _ = M::replace_link(MayWrite::transition(), cell, value, value); //~ E0624
    let _ = M::take(MayWrite::transition(), cell, Level::MAX); //~ E0624
}

fn generic_without_it<M: Locked>(cell: &SpteCell, value: Spte) {
    let _ = M::replace(cell, value, value, Level::MAX); //~ E0061
    let _ = M::clear(cell, value, 1); //~ E0061
    let _ = M::replace_link(cell, value, value); //~ E0061
    let _ = M::take(cell, Level::MAX); //~ E0061
}

fn main() {}
