// SPDX-License-Identifier: GPL-2.0

//! What is mapped for a fault was looked up after a snapshot, and found current under `mmu_lock`.

use kvmrs_model::{
    kvm::{types::Pfn, MmuLock, PageFault, Resolved, Shared, Snapshot, VmPage},
    tdp_mmu::map,
};

fn not_looked_up(fault: PageFault<'_>, root: &VmPage<'_>) {
    map::map(root, &mut { fault }); //~ E0308
}

fn look_up_without_a_snapshot(fault: PageFault<'_>) {
    let _ = fault.look_up(); //~ E0599
}

fn one_snapshot_for_two_look_ups(snapshot: Snapshot<'_>) {
    let _ = snapshot.look_up();
    let _ = snapshot.look_up(); //~ E0382
}

fn snapshot_after_the_look_up(resolved: Resolved<'_>) {
    let _ = resolved.snapshot(); //~ E0599
}

fn not_checked(resolved: Resolved<'_>, root: &VmPage<'_>) {
    map::map(root, &mut { resolved }); //~ E0308
}

fn pfn_before_the_check(resolved: &Resolved<'_>) -> Pfn {
    resolved.pfn() //~ E0599
}

fn checked_and_unlocked<'a>(resolved: Resolved<'a>, root: &VmPage<'_>, lock: MmuLock<'_, Shared>) {
    if let Some(mut current) = resolved.current(&lock) {
        drop(lock); //~ E0505
        map::map(root, &mut current);
    }
}

fn main() {}
