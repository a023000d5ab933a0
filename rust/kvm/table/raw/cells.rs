// SPDX-License-Identifier: GPL-2.0

//! The memory of a page table that everyone may reach.

use crate::kvm::{
    memory::{AnyVm, Vm},
    spte::SpteCell,
    types::{Gfn, Level, ENTRIES}, //
};
use kvm_bindings as bindings;

/// The entries of a table.
///
/// # Invariants
///
/// They are those of a live page table, which stays allocated for `'r`.
#[derive(Clone, Copy)]
pub(in crate::kvm) struct Cells<'r>(&'r [SpteCell; ENTRIES]);

impl<'r> Cells<'r> {
    /// # Safety
    ///
    /// `spt` must be a page table that is not freed during `'r`.
    #[inline(always)]
    pub(super) unsafe fn from_ptr(spt: *mut u64) -> Self {
        // SAFETY: `spt` is a page of `ENTRIES` entries, and `SpteCell` is transparent over one.
        // INVARIANT: The table is not freed during `'r`.
        Self(unsafe { &*spt.cast() })
    }

    /// The table at physical address `pa`, which a link in a table of `vm` holds. It was made for
    /// `level` and spans the frames from `gfn` on.
    #[inline(always)]
    pub(in crate::kvm::table) fn at(_vm: &'r AnyVm, pa: u64, _gfn: Gfn, _level: Level) -> Self {
        // SAFETY: Links hold the addresses of tables, ours (`Unlinked::link_spte()`) and C's. A table
        // is freed by RCU only after it was unlinked, and what reads links keeps an RCU section open
        // for `'r`.
        unsafe { Self::from_ptr(bindings::kvmrs_va(pa).cast()) }
    }

    /// All entries.
    #[inline(always)]
    pub(in crate::kvm::table) fn all(self) -> &'r [SpteCell; ENTRIES] {
        self.0
    }

    /// Accounts `count` more tables of this one's kind to `vm`, and to the memory cgroup.
    #[inline]
    pub(in crate::kvm::table) fn account(self, vm: &Vm, count: i32) {
        // SAFETY: These are the entries of a page-table page, and the VM is alive.
        unsafe {
            bindings::kvmrs_account_pgtable_pages(self.0.as_ptr().cast_mut().cast(), count);
            bindings::kvmrs_tdp_mmu_pages_add(vm.as_ptr(), count);
        }
    }
}
