// SPDX-License-Identifier: GPL-2.0

//! A present entry does not become an MMIO entry, and a leaf is not mapped over.

use kvmrs_model::kvm::{
    table::{Leaf, Link},
    LeafSpte, Shared, Spte,
};

fn f(leaf: Leaf<'_, Shared>, mmio: Spte) {
    let _ = leaf.set_mmio(mmio); //~ E0599
}

fn g(link: Link<'_, Shared>, mmio: Spte) {
    let _ = link.set_mmio(mmio); //~ E0599
}

fn h(leaf: Leaf<'_, Shared>, other: LeafSpte) {
    let _ = leaf.map(other); //~ E0599
}

fn i(link: Link<'_, Shared>, other: LeafSpte) {
    let _ = link.map(other); //~ E0599
}

fn main() {}
