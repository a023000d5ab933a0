// SPDX-License-Identifier: GPL-2.0

//! What the host does to pages that pfn caches have mapped, and what C does with the caches.

use crate::{
    kvm::{
        gpc::{Address, Gpc, GuestPage, Refused, Sleeper},
        Gfn, GfnRange, MemSlot, SlotsHeld, Start, Vm,
    },
    mm::notifier::Ended,
    pfncache::refresh,
};

/// The host gives the page of its `frame` other memory, as far as pfn caches are concerned.
pub fn move_page(vm: &Vm, frame: Gfn) {
    change(vm, frame, || {
        let old = vm.primary.page(frame);
        vm.primary.move_small(frame);
        if let Some(page) = old {
            vm.caches.reuse(page.pfn_of(frame));
        }
    });
}

/// The host changes something about the page of its `frame`, by `between`.
pub fn change(vm: &Vm, frame: Gfn, between: impl FnOnce()) {
    let range = MemSlot::host_range_of(GfnRange::one(frame));
    vm.begin_change(range).invalidate_caches();
    vm.primary.notify(GfnRange::one(frame));
    between();
    vm.primary.forget(GfnRange::one(frame));
    vm.end_change(Ended::of(&range), Start::Recorded);
}

/// `kvm_gpc_activate()` and `kvm_gpc_activate_hva()`.
pub fn activate(cache: &Gpc, address: Address, len: usize) -> Result<(), Refused> {
    let mut slots = SlotsHeld::new(cache.vm());
    let mut task = Sleeper::new(&mut slots)?;
    refresh::activate(cache, address, len, &mut task)
}

/// `kvm_gpc_refresh()`.
pub fn refresh(cache: &Gpc, len: usize) -> Result<(), Refused> {
    let mut slots = SlotsHeld::new(cache.vm());
    let mut task = Sleeper::new(&mut slots)?;
    refresh::refresh(cache, len, &mut task)
}

/// Calls `access` with the page pinned, if the cache is valid for `len` bytes.
pub fn try_access<R>(
    cache: &Gpc,
    len: usize,
    access: impl FnOnce(&GuestPage<'_>) -> R,
) -> Option<R> {
    let slots = SlotsHeld::new(cache.vm());
    GuestPage::pin(cache, &slots, len).map(|page| access(&page))
}
