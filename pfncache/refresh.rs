// SPDX-License-Identifier: GPL-2.0

//! What makes a pfn cache valid, and what ends its use.
//!
//! A refresh waits for changes of its own page alone, looks nothing up meanwhile, and can be killed. What
//! the host changes elsewhere does not concern it.

use crate::kvm::gpc::{
    Active,
    Address,
    Gpc,
    Locked,
    Moved,
    Refused,
    Sleeper, //
};

/// Makes `cache` valid for `len` bytes at `address`, be it in use already or not.
pub fn activate(
    cache: &Gpc,
    address: Address,
    len: usize,
    task: &mut Sleeper<'_>,
) -> Result<(), Refused> {
    if !address.fits(len) {
        return Err(Refused::Length);
    }
    let active = match cache.lock_killable()? {
        Locked::Inactive(inactive) => inactive.activate(),
        Locked::Active(active) => active,
    };
    make_valid(active, address, task)
}

/// Makes `cache`, which is in use, valid again for `len` bytes at its address.
pub fn refresh(cache: &Gpc, len: usize, task: &mut Sleeper<'_>) -> Result<(), Refused> {
    let Locked::Active(active) = cache.lock_killable()? else {
        return Err(Refused::Inactive);
    };
    let address = active.address();
    if !address.fits(len) {
        return Err(Refused::Length);
    }
    make_valid(active, address, task)
}

fn make_valid(cache: Active<'_>, address: Address, task: &mut Sleeper<'_>) -> Result<(), Refused> {
    let mut found = match cache.move_to(address, task) {
        Moved::Not => return Ok(()),
        Moved::Within(found) => found,
        Moved::Away(closed) => closed.look_up(task)?,
    };
    while let Err(closed) = found.commit() {
        found = closed.look_up(task)?;
    }
    Ok(())
}

/// What `cache` is for, if it is in use.
pub fn place(cache: &Gpc) -> Option<Address> {
    match cache.lock() {
        Locked::Active(active) => Some(active.address()),
        Locked::Inactive(_) => None,
    }
}

/// Ends the use of `cache`. Nobody has its page pinned any more.
pub fn deactivate(cache: &Gpc) {
    if let Locked::Active(active) = cache.lock() {
        active.deactivate();
    }
}
