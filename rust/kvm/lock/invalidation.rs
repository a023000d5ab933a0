// SPDX-License-Identifier: GPL-2.0

//! The begin and the end of an invalidation.
//!
//! In between nobody may map the frames. The begin and the end are C's, as the shadow MMU's faults look
//! at C's count, sequence and range, and the [record](crate::kvm::memory::Invalidations) has the same more
//! precisely. Both come under `mmu_lock` held for write: a fault that holds it for read comes before the
//! begin, and then what it maps is zapped, or after it, and then it sees it.
//!
//! An invalidation is begun inside `kvm->srcu`, and outlasts both that and the lock.

#![forbid(unsafe_code)]

use super::{
    flush::{Flush, PendingFlush},
    mode::Exclusive,
    raw::MmuLock, //
};
use crate::{
    kvm::{
        memory::{AnySlots, AnyVm, MemSlot, SlotRange, Vm},
        types::GfnRange, //
    },
    mm::{notifier::Ended, HostRange}, //
};
use core::{
    mem,
    ptr, //
};

/// An invalidation that has begun. The shadow MMU's part is not zapped without one.
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

    /// Takes the invalidation that the host has `ended`. `None` if none began.
    #[inline]
    pub fn begun(&mut self, ended: &Ended<'_>) -> Option<Begun<'vm>> {
        let vm = self.vm();
        let frames = vm.record().take(ended.range())?;
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
        self.invalidate_end();
        vm.record().note_end(vm.invalidations_ended(), frames);
    }

    /// Zaps what the shadow MMU maps of `range`, and may give way if that may block. If it may have any
    /// entries, frames outside of a slot, and what belongs to another VM, mark the VM as broken.
    #[inline]
    pub fn unmap_shadow(
        &mut self,
        begun: &Begun<'_>,
        slots: &AnySlots<'_>,
        range: SlotRange,
        flush: &mut PendingFlush<'_>,
    ) {
        let vm = self.vm();
        if !vm.has_rmaps() {
            return;
        }
        let Some(slot) = slot_of(vm, begun, slots, range) else {
            return vm.bug();
        };
        if range.may_block {
            // The lock may go before C returns, and C flushes the frames of this slot alone.
            flush.settle(vm);
        }
        if self.unmap_in_shadow(slot, range.range, range.may_block) {
            flush.add(Flush::owed());
        }
    }
}

/// The slot of `vm` that `range` lies in.
fn slot_of<'s>(
    vm: &Vm,
    begun: &Begun<'_>,
    slots: &'s AnySlots<'_>,
    range: SlotRange,
) -> Option<&'s MemSlot> {
    let any: &AnyVm = vm;
    if !ptr::eq(begun.vm, vm) || !ptr::eq(slots.vm(), any) || range.range.is_empty() {
        return None;
    }
    let slot = slots.find(range.address_space, range.range.start)?;
    slot.range().covers(range.range).then_some(slot)
}
