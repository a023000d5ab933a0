// SPDX-License-Identifier: GPL-2.0

//! A flush that became necessary cannot be overlooked.

#![deny(unused_must_use)]

use kvmrs_model::kvm::table::Leaf;
use kvmrs_model::kvm::{Flush, LeafBits, MmuLock, PendingFlush, Shared, Vm};

fn zapped(leaf: Leaf<'_, Shared>) -> Result<Flush, ()> {
    let (_change, flush) = leaf.zap().map_err(|_| ())?;
    Ok(flush)
}

fn f(leaf: Leaf<'_, Shared>) -> Result<(), ()> {
    zapped(leaf)?; //~ unused_must_use
    Ok(())
}

fn g(vm: &Vm) {
    PendingFlush::none(vm); //~ unused_must_use
}

fn h(leaf: Leaf<'_, Shared>, bits: LeafBits) -> Result<(), ()> {
    leaf.clear(bits).map_err(|_| ())?; //~ unused_must_use
    Ok(())
}

fn i(vm: &Vm, _: &MmuLock<'_, Shared>) {
    vm.mmu_read(); //~ unused_must_use
}

fn main() {}
