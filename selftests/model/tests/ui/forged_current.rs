// SPDX-License-Identifier: GPL-2.0

//! That a page is current is not for a walk to say.

use kvmrs_model::kvm::{Current, MmuLock, PageFault, Resolved, Shared, Snapshot};

fn current<'l>(fault: &'l mut PageFault<'_>, lock: &'l MmuLock<'l, Shared>) {
    let _ = Current { fault, lock }; //~ E0451
}

fn resolved(snapshot: Snapshot<'_>) {
    let _ = Resolved { snapshot }; //~ E0451
}

fn main() {}
