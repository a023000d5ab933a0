// SPDX-License-Identifier: GPL-2.0

//! The reference of a root that waits to be zapped goes to a holder of `slots_lock`.

use kvmrs_model::kvm::{Exclusive, MmuLock, Root, SlotsLocked, Vm};

fn f(root: &Root<'_>) {
    let _ = root.take_scheduled_zap(); //~ E0061
}

fn g(lock: &MmuLock<'_, Exclusive>) {
    lock.invalidate_roots(); //~ E0061
}

fn h(vm: &Vm) -> SlotsLocked<'_> {
    SlotsLocked(vm) //~ E0423
}

fn main() {}
