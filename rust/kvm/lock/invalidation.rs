// SPDX-License-Identifier: GPL-2.0

//! The begin and the end of an invalidation.
//!
//! In between nobody may map the frames. Faults look at C's count, sequence and range, so the begin
//! and the end are C's, under `mmu_lock` held for write: a fault that holds it for read comes before
//! the begin, and then what it maps is zapped, or after it, and then it sees it. The
//! [record](crate::kvm::memory::Invalidations) has the same more precisely.
//!
//! Lock order: an invalidation is begun and ended inside `kvm->srcu`, and outlasts both.

use super::{
    flush::{Flush, PendingFlush},
    mmu_lock::MmuLock,
    mode::Exclusive, //
};
use crate::{
    kvm::{
        memory::{raw_range, MemSlot, Vm},
        types::GfnRange, //
    },
    mm::HostRange, //
};
use core::{
    mem,
    ptr, //
};
use kvm_bindings as bindings;

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
        // SAFETY: The VM is alive, and its lock is held for write.
        unsafe {
            bindings::kvm_mmu_invalidate_start(vm.as_ptr());
            bindings::kvm_mmu_invalidate_range_add(
                vm.as_ptr(),
                frames.start.raw(),
                frames.end.raw(),
            );
        }
        vm.state().invalidations().begin(host, frames);
        // INVARIANT: C counts it.
        Begun { vm, frames }
    }

    /// Takes an invalidation of `host` that began earlier, to end it. `None` if none did.
    #[inline]
    pub fn begun(&mut self, host: HostRange) -> Option<Begun<'vm>> {
        let vm = self.vm();
        let frames = vm.state().invalidations().take(host)?;
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
        // SAFETY: The VM is alive, and its lock is held for write.
        let seq = unsafe {
            bindings::kvm_mmu_invalidate_end(vm.as_ptr());
            (*vm.as_ptr()).mmu_invalidate_seq
        };
        vm.state().invalidations().note_end(seq as u64, frames);
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
        // SAFETY: The VM is alive. A shadow entry that was there when the invalidation began implies
        // the flag.
        if !unsafe { bindings::kvmrs_has_rmaps(vm.as_ptr()) } {
            return;
        }
        let Some(mut range) = raw_range(slot, frames, may_block) else {
            return vm.bug();
        };
        // The lock may go before C returns, and C flushes the frames of this slot alone.
        flush.settle(vm);
        // SAFETY: The VM is alive, the slot too, and the frames lie in it. The lock is held for write.
        if unsafe { bindings::kvm_shadow_mmu_unmap_gfn_range(vm.as_ptr(), &raw mut range) } {
            flush.add(Flush::owed());
        }
    }

    /// Makes vCPUs look up the page of the APIC again, if `slot` is what backs it.
    #[inline]
    pub fn reload_apic_access_page(&self, _begun: &Begun<'_>, slot: &MemSlot) {
        // SAFETY: Both are alive.
        unsafe { bindings::kvm_mmu_reload_apic_access_page(self.vm().as_ptr(), slot.as_ptr()) };
    }
}
