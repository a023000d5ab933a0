// SPDX-License-Identifier: GPL-2.0

//! What a VM hears from its host, and what it does about it besides its page tables.

use super::{
    memslot::{raw_range, MemSlot},
    raw::Vm, //
};
use crate::{
    kvm::{trace, types::GfnRange},
    mm::{
        notifier::{Ended, Registration, Released},
        HostRange, //
    },
    sync::{smp_mb, Write}, //
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
        // SAFETY: By the type's invariant.
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

    /// Keeps memory slots from changing until the host's change is over, so that both halves of a
    /// notifier see the same.
    #[inline]
    pub fn block_slots_update(&self) {
        let kvm = self.as_ptr();
        // SAFETY: The VM is alive, and the count is written under the lock.
        unsafe {
            bindings::kvmrs_mn_invalidate_lock(kvm);
            (*kvm).mn_active_invalidate_count += 1;
            bindings::kvmrs_mn_invalidate_unlock(kvm);
        }
    }

    /// The host's change is over, and is counted, as elided if it concerned no slot. If there is no
    /// other, wakes who wants to change slots. One end too many marks the VM as broken.
    #[inline]
    pub fn unblock_slots_update(&self, _ended: Ended<'_>, elided: bool) {
        let kvm = self.as_ptr();
        // SAFETY: The VM is alive, and both fields are written under the lock alone. C's pfn caches read
        // them without it, the count first: they must see the new sequence once they see none going on.
        let others = unsafe {
            bindings::kvmrs_mn_invalidate_lock(kvm);
            bindings::kvmrs_count_invalidation(kvm, elided);
            (*kvm).gpc_invalidate_seq = (*kvm).gpc_invalidate_seq.wrapping_add(1);
            smp_mb(Write);
            let others = (*kvm).mn_active_invalidate_count.checked_sub(1);
            (*kvm).mn_active_invalidate_count = others.unwrap_or(0);
            bindings::kvmrs_mn_invalidate_unlock(kvm);
            others
        };
        match others {
            // SAFETY: The VM is alive. There is one waiter at most, as it holds `slots_lock`.
            Some(0) => unsafe {
                kernel::bindings::rcuwait_wake_up(&raw mut (*kvm).mn_memslots_update_rcuwait);
            },
            Some(_) => {}
            None => self.bug(),
        }
    }

    /// Makes the VM's pfn caches forget pages of `range`.
    #[inline]
    pub fn invalidate_pfn_caches(&self, range: HostRange) {
        // SAFETY: The VM is alive.
        unsafe {
            bindings::gfn_to_pfn_cache_invalidate_start(self.as_ptr(), range.start, range.end)
        };
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

    /// Makes old what the shadow MMU maps of `frames`, which lie in `slot`, unless the question is
    /// only whether they were accessed. Returns that. Frames outside of the slot mark the VM as broken.
    #[inline]
    pub fn age_shadow(&self, slot: &MemSlot, frames: GfnRange, test_only: bool) -> bool {
        let Some(mut range) = raw_range(slot, frames, false, true) else {
            self.bug();
            return false;
        };
        // SAFETY: The VM is alive, the slot too, and the frames lie in it.
        unsafe { bindings::kvm_shadow_mmu_age_gfn_range(self.as_ptr(), &raw mut range, test_only) }
    }
}
