// SPDX-License-Identifier: GPL-2.0

//! A hold of the lock cannot be made up, turned into a stronger one, or given to another thread.

use kvmrs_model::kvm::{Exclusive, MmuLock, PagesLock, Shared, Vm};

fn f<'a>(lock: &'a MmuLock<'a, Shared>) -> &'a MmuLock<'a, Exclusive> {
    lock //~ E0308
}

fn g(vm: &Vm) -> PagesLock<'_> {
    PagesLock(vm) //~ E0423
}

fn send<T: Send>(_: T) {}

fn h(vm: &Vm) {
    send(vm.mmu_write()); //~ E0277
    send(vm.pages_lock()); //~ E0277
}

fn main() {}
