// SPDX-License-Identifier: GPL-2.0

//! That a page is current is not for a walk to say.

use kvmrs_model::kvm::{Current, MmuLock, Resolved, Shared, Snapshot};

fn current<'l>(resolved: Resolved<'_>, lock: &'l MmuLock<'l, Shared>) {
    let _ = Current { resolved, lock }; //~ E0451
}

fn resolved(snapshot: Snapshot<'_>) {
    let _ = Resolved { snapshot }; //~ E0451
}

fn main() {}
