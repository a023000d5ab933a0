// SPDX-License-Identifier: GPL-2.0

//! What a VM hears from its host, and what it does about it besides its page tables.

use super::{
    memslot::{raw_range, MemSlot, ShadowWalk},
    raw::Vm, //
};
use crate::{
    kvm::{trace, types::GfnRange},
    mm::{
        notifier::{Registration, Released},
        HostRange, //
    }, //
};
use core::ptr::NonNull;
use kernel::{
    mm::MmWithUser,
    prelude::*, //
};
use kvm_bindings as bindings;

/// Whom the host notifies: a VM.
///
/// # Invariants
///
/// The VM is alive, and has its state, for as long as the value exists.
pub struct Listener(NonNull<Vm>);

// SAFETY: It stands for a reference to a `Vm`, which is `Sync`.
unsafe impl Send for Listener {}
// SAFETY: As above.
unsafe impl Sync for Listener {}

impl Listener {
    /// The VM.
    #[inline(always)]
    pub fn vm(&self) -> &Vm {
        // SAFETY: By the type's invariant the VM is alive, and has its state.
        unsafe { self.0.as_ref() }
    }
}

/// The host takes pages of `range` away: an event for who traces that.
#[inline(always)]
pub fn trace_unmap(range: HostRange) {
    trace::unmap_hva_range(range.start, range.end);
}

/// The host makes pages of `range` old.
#[inline(always)]
pub fn trace_age(range: HostRange) {
    trace::age_hva(range.start, range.end);
}

/// The host asks whether the page at `address` is young.
#[inline(always)]
pub fn trace_test_age(address: usize) {
    trace::test_age_hva(address);
}

/// What the host asks about the age of pages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Aging {
    /// Whether they were accessed. From now on they were not.
    MakeOld,
    /// Only whether they were.
    Test,
}

impl Vm {
    /// Hears of changes of `mm`, which backs the VM's memory, until [`mute`](Self::mute).
    ///
    /// # Safety
    ///
    /// `mute()` must be called before the VM loses its state.
    pub unsafe fn listen(&self, mm: &MmWithUser) -> Result {
        // INVARIANT: Before the VM loses its state `mute()` drops the value.
        let listener = Listener(NonNull::from(self));
        let registration = KBox::pin_init(Registration::new(mm, listener), GFP_KERNEL_ACCOUNT)?;
        *self.state().registration().lock() = Some(registration);
        Ok(())
    }

    /// Hears nothing any more. What had begun does not end.
    ///
    /// # Safety
    ///
    /// No vCPU may run any more.
    pub unsafe fn mute(&self) {
        // The lock is dropped first: the VM is told of its end now.
        let registration = self.state().registration().lock().take();
        drop(registration);
    }

    /// Tells the vendor module that the guest lost memory, for encrypted guests' caches. Slow: not
    /// under `mmu_lock`.
    #[inline]
    pub fn guest_memory_reclaimed(&self) {
        // SAFETY: The VM is alive.
        unsafe { bindings::kvm_arch_guest_memory_reclaimed(self.as_ptr()) };
    }

    /// Zaps everything that the VM maps, in both its MMUs. No TLB is flushed, as no vCPU runs again.
    pub fn unmap_everything(&self, _released: Released<'_>) {
        // SAFETY: The VM is alive.
        unsafe { bindings::kvm_arch_flush_shadow_all(self.as_ptr()) };
    }

    /// Returns whether what the shadow MMU maps of `frames`, which lie in `slot`, was accessed. Frames outside of
    /// the slot mark the VM as broken.
    #[inline]
    pub fn age_shadow(&self, slot: &MemSlot, frames: GfnRange, aging: Aging) -> bool {
        let Some(mut range) = raw_range(slot, frames, ShadowWalk::Lockless) else {
            self.bug();
            return false;
        };
        let test_only = aging == Aging::Test;
        // SAFETY: The VM is alive, the slot too, and the frames lie in it.
        unsafe { bindings::kvm_shadow_mmu_age_gfn_range(self.as_ptr(), &raw mut range, test_only) }
    }
}
