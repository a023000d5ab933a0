// SPDX-License-Identifier: GPL-2.0

//! The reference to a fault's page is given back once, not while the page is being mapped, and as that of
//! a mapped page by who has checked that it is current.

use kvmrs_model::{
    kvm::{Current, MmuLock, Outcome, Resolved, Shared, VmPage},
    tdp_mmu::map,
};

fn twice(current: Current<'_, '_>) {
    current.finish(Outcome::Fixed);
    current.finish(Outcome::Fixed); //~ E0382
}

fn before_it_is_mapped(resolved: Resolved<'_>, lock: &MmuLock<'_, Shared>, root: &VmPage<'_>) {
    if let Some(mut current) = resolved.current(lock) {
        drop(resolved); //~ E0382
        map::map(root, &mut current);
    }
}

fn unchecked(resolved: Resolved<'_>) {
    resolved.finish(Outcome::Fixed); //~ E0599
}

fn checked_twice(resolved: Resolved<'_>, lock: &MmuLock<'_, Shared>) {
    let _ = resolved.current(lock);
    let _ = resolved.current(lock); //~ E0382
}

fn main() {}
