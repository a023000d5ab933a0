// SPDX-License-Identifier: GPL-2.0

//! The begin and the end of an invalidation.
//!
//! In between nobody may map the frames. Faults look at C's count, sequence and range, so the begin
//! and the end are C's, under `mmu_lock` held for write: a fault that holds it for read comes before
//! the begin, and then what it maps is zapped, or after it, and then it sees it. The
//! [record](crate::kvm::memory::Invalidations) has the same more precisely.
//!
//! Lock order: an invalidation is begun and ended inside `kvm->srcu`, and outlasts both.

#![forbid(unsafe_code)]

use super::{
    flush::{Flush, PendingFlush},
    mode::Exclusive,
    raw::MmuLock, //
};
use crate::{
    kvm::{
        memory::{MemSlot, Vm},
        types::GfnRange, //
    },
    mm::HostRange, //
};
use core::{
    mem,
    ptr, //
};

/// An invalidation that has begun. Only in it is the host's memory zapped.
///
/// It ends by [`MmuLock::end`], or is left to the other half of the notifier, which finds it by
/// [`MmuLock::begun`]. One that is dropped would keep vCPUs from mapping the frames for ever, so that
/// marks the VM as broken.
///
/// # Invariants
///
/// C counts it as going on.
#[must_use = "an invalidation must end"]
pub struct Begun<'vm> {
    vm: &'vm Vm,
    frames: GfnRange,
}

impl Begun<'_> {
    /// Leaves the end to the notifier's other half. The record has it.
    #[inline(always)]
    pub fn leave_to_end(self) {
        mem::forget(self);
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.vm.bug();
    }
}

impl<'vm> MmuLock<'vm, Exclusive> {
    /// Begins an invalidation of `host`, which backs `frames` and perhaps others than those in
    /// between.
    #[inline]
    pub fn begin(&mut self, host: HostRange, frames: GfnRange) -> Begun<'vm> {
        let vm = self.vm();
        self.invalidate_start(frames);
        vm.record().begin(host, frames);
        // INVARIANT: C counts it.
        Begun { vm, frames }
    }

    /// Takes an invalidation of `host` that began earlier, to end it. `None` if none did.
    #[inline]
    pub fn begun(&mut self, host: HostRange) -> Option<Begun<'vm>> {
        let vm = self.vm();
        let frames = vm.record().take(host)?;
        // INVARIANT: C counts what is in the record.
        Some(Begun { vm, frames })
    }

    /// Ends an invalidation. That of another VM is refused, and marks both as broken.
    #[inline]
    pub fn end(&mut self, begun: Begun<'vm>) {
        let (vm, frames) = (self.vm(), begun.frames);
        if !ptr::eq(begun.vm, vm) {
            return vm.bug();
        }
        mem::forget(begun);
        let seq = self.invalidate_end();
        vm.record().note_end(seq, frames);
    }

    /// Zaps what the shadow MMU maps of `frames`. May give way if it may block. Frames outside of
    /// `slot` mark the VM as broken.
    #[inline]
    pub fn unmap_shadow(
        &mut self,
        _begun: &Begun<'_>,
        slot: &MemSlot,
        frames: GfnRange,
        may_block: bool,
        flush: &mut PendingFlush<'_>,
    ) {
        let vm = self.vm();
        if !self.has_shadow_entries() {
            return;
        }
        if !slot.range().covers(frames) {
            return vm.bug();
        }
        // The lock may go before C returns, and C flushes the frames of this slot alone.
        flush.settle(vm);
        if self.unmap_in_shadow(slot, frames, may_block) {
            flush.add(Flush::owed());
        }
    }

    /// Makes vCPUs look up the page of the APIC again, if `slot` is what backs it.
    #[inline]
    pub fn reload_apic_access_page(&self, _begun: &Begun<'_>, slot: &MemSlot) {
        self.reload_apic_page(slot);
    }
}
