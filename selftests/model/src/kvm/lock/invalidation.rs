// SPDX-License-Identifier: GPL-2.0

//! The begin and the end of an invalidation, with the host's books of it.

use super::{
    flush::PendingFlush,
    mmu_lock::MmuLock,
    mode::Exclusive, //
};
use crate::{
    kvm::{
        memory::{MemSlot, Vm},
        types::GfnRange,
    },
    mm::HostRange,
};

/// An invalidation that has begun.
#[must_use = "an invalidation must end"]
pub struct Begun<'vm> {
    vm: &'vm Vm,
    frames: GfnRange,
}

impl Begun<'_> {
    /// Leaves the end to the notifier's other half.
    pub fn leave_to_end(self) {
        core::mem::forget(self);
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.vm.bug();
    }
}

impl<'vm> MmuLock<'vm, Exclusive> {
    /// Begins an invalidation.
    pub fn begin(&mut self, host: HostRange, frames: GfnRange) -> Begun<'vm> {
        let vm = self.vm();
        vm.primary.begin();
        vm.invalidations().begin(host, frames);
        Begun { vm, frames }
    }

    /// Takes one that began earlier.
    pub fn begun(&mut self, host: HostRange) -> Option<Begun<'vm>> {
        let vm = self.vm();
        let frames = vm.invalidations().take(host)?;
        Some(Begun { vm, frames })
    }

    /// Ends an invalidation.
    pub fn end(&mut self, begun: Begun<'vm>) {
        let (vm, frames) = (self.vm(), begun.frames);
        if !core::ptr::eq(begun.vm, vm) {
            return vm.bug();
        }
        core::mem::forget(begun);
        vm.primary.end();
        vm.invalidations().note_end(vm.primary.snapshot(), frames);
    }

    /// There is no shadow MMU.
    pub fn unmap_shadow(
        &mut self,
        _begun: &Begun<'_>,
        _slot: &MemSlot,
        _frames: GfnRange,
        _may_block: bool,
        _flush: &mut PendingFlush<'_>,
    ) {
    }

    /// Nor an APIC.
    pub fn reload_apic_access_page(&self, _begun: &Begun<'_>, _slot: &MemSlot) {}
}
