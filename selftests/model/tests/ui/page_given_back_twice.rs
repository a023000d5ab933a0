// SPDX-License-Identifier: GPL-2.0

//! The reference to a fault's page is given back once, and not while the page is being mapped.

use kvmrs_model::{
    kvm::{MmuLock, Outcome, Resolved, Shared, VmPage},
    tdp_mmu::map,
};

fn twice(resolved: Resolved<'_>, lock: &MmuLock<'_, Shared>) {
    resolved.finish(lock, Outcome::Fixed);
    resolved.finish(lock, Outcome::Fixed); //~ E0382
}

fn before_it_is_mapped(mut resolved: Resolved<'_>, lock: &MmuLock<'_, Shared>, root: &VmPage<'_>) {
    if let Some(mut current) = resolved.current(lock) {
        drop(resolved); //~ E0505
        map::map(root, &mut current);
    }
}

fn main() {}
