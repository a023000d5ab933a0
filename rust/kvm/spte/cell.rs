// SPDX-License-Identifier: GPL-2.0

//! The memory of one page-table entry.
//!
//! Other CPUs, the fast page-fault path and the hardware's page walker write to entries at any time,
//! so there are no references to the value, only the operations below. Each is a single access of 64
//! bits.

use super::value::Spte;
use core::cell::UnsafeCell;
use kvm_bindings as bindings;

/// An entry of a page table.
///
/// Reading is open to everyone. Writing is for the transitions of entries alone, and for the modes
/// of the lock that they go by. They see to it that the address in a link is that of a table.
#[repr(transparent)]
pub struct SpteCell(UnsafeCell<u64>);

// SAFETY: All accesses are single atomic ones.
unsafe impl Sync for SpteCell {}

impl SpteCell {
    /// The value at this moment.
    #[inline(always)]
    pub fn load(&self) -> Spte {
        // SAFETY: The cell is valid memory. A volatile load of an aligned word is what C's
        // READ_ONCE() is; address dependencies order what is read through the value.
        Spte::new(unsafe { self.0.get().read_volatile() })
    }

    /// Stores `new` whatever the entry holds.
    #[inline(always)]
    pub(in crate::kvm) fn store(&self, new: Spte) {
        // SAFETY: As in `load()`; this is WRITE_ONCE().
        unsafe { self.0.get().write_volatile(new.raw()) }
    }

    /// Stores `new` and returns what was there. Fully ordered.
    #[inline(always)]
    pub(in crate::kvm) fn swap(&self, new: Spte) -> Spte {
        // SAFETY: The cell is valid memory, accessed atomically by everyone.
        Spte::new(unsafe { bindings::kvmrs_spte_xchg(self.0.get(), new.raw()) })
    }

    /// Stores `new` if the entry holds `old`, else returns what it holds. Fully ordered on success.
    #[inline(always)]
    pub(in crate::kvm) fn compare_exchange(&self, old: Spte, new: Spte) -> Result<(), Spte> {
        let mut found = old.raw();
        // SAFETY: The cell is valid memory, accessed atomically by everyone.
        if unsafe { bindings::kvmrs_spte_try_cmpxchg(self.0.get(), &mut found, new.raw()) } {
            Ok(())
        } else {
            Err(Spte::new(found))
        }
    }

    /// Clears the bits in `mask` and returns the value from before. Fully ordered.
    #[inline(always)]
    pub(in crate::kvm) fn fetch_clear(&self, mask: u64) -> Spte {
        // SAFETY: The cell is valid memory, accessed atomically by everyone.
        Spte::new(unsafe { bindings::kvmrs_spte_fetch_and(self.0.get(), !mask) })
    }

    /// The address, for C.
    #[inline(always)]
    pub fn as_ptr(&self) -> *mut u64 {
        self.0.get()
    }
}
