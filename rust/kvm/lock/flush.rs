// SPDX-License-Identifier: GPL-2.0

//! TLB flushes that are still owed.
//!
//! A change that leaves stale translations in some CPU's TLB returns a [`Flush`]. It can only be
//! *added* to a [`PendingFlush`] or *waived* with a reason that a reader can check. The pending
//! flush is what a walk must hand over before it may drop `mmu_lock` or end its RCU section, and
//! what a caller gets back at the end. Dropping one flushes: forgetting costs time, never safety.

#![forbid(unsafe_code)]

use crate::kvm::{
    memory::{Flushed, MemSlot, Vm},
    types::{Gfn, Level}, //
};
use core::{
    mem,
    ptr, //
};

/// Evidence that a change made a TLB flush necessary.
///
/// # Invariants
///
/// Made only by the transitions of entries that revoke a translation or replace a table.
#[must_use = "add it to a PendingFlush, or waive it and say why"]
#[derive(Debug)]
pub struct Flush(());

/// Why a [`Flush`] need not happen before `mmu_lock` is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiver {
    /// The root is invalid: each vCPU flushes before it loads another one, and a CPU that a vCPU
    /// moves to is flushed as well, paging-structure caches included.
    InvalidRoot,
    /// The VM is going away or its address space is: no vCPU can run again.
    NoVcpuRuns,
}

impl Flush {
    /// Only for the transitions of entries.
    #[inline(always)]
    pub(in crate::kvm) fn owed() -> Self {
        Self(())
    }

    /// Flushes at once, what the page of `level` around `gfn` held.
    #[inline(always)]
    pub fn gfn(self, vm: &Vm, gfn: Gfn, level: Level) {
        vm.flush_remote_tlbs_gfn(gfn, level);
    }

    /// Drops the duty to flush, for the reason given.
    #[inline(always)]
    pub fn waive(self, _why: Waiver) {}
}

/// Whether TLBs of the VM must be flushed before `mmu_lock` is dropped, and for how many changes. All but one of
/// those are counted as `tdp_flushes_merged`: a flush each is what they would have cost. The number is for that
/// statistic alone.
#[must_use = "a pending flush must reach the caller or be carried out"]
pub struct PendingFlush<'vm> {
    vm: &'vm Vm,
    slot: Option<&'vm MemSlot>,
    owed: u64,
}

impl<'vm> PendingFlush<'vm> {
    /// Nothing is owed yet.
    #[inline(always)]
    pub fn none(vm: &'vm Vm) -> Self {
        Self {
            vm,
            slot: None,
            owed: 0,
        }
    }

    /// Nothing is owed yet, and all that will be lies within `slot`, whose range is cheaper to
    /// flush than everything where the hypervisor below offers that.
    #[inline(always)]
    pub fn in_slot(vm: &'vm Vm, slot: &'vm MemSlot) -> Self {
        Self {
            slot: Some(slot),
            ..Self::none(vm)
        }
    }

    /// Takes over what C's caller says it owes already.
    #[inline(always)]
    pub fn from_caller(vm: &'vm Vm, owed: bool) -> Self {
        Self {
            owed: owed.into(),
            ..Self::none(vm)
        }
    }

    /// Adds one more reason to flush.
    #[inline(always)]
    pub fn add(&mut self, _flush: Flush) {
        // A check would cost each change more than the count. So many changes take centuries.
        self.owed = self.owed.wrapping_add(1);
    }

    /// Flushes the VM's TLBs on all CPUs, if that is owed.
    #[inline(always)]
    pub fn flush(&mut self) {
        self.carry_out();
    }

    /// As [`flush`](Self::flush), and nothing is added afterwards. `None` if nothing was owed.
    #[inline(always)]
    pub fn finish(mut self) -> Option<Flushed<'vm>> {
        self.carry_out()
    }

    #[inline(always)]
    fn carry_out(&mut self) -> Option<Flushed<'vm>> {
        self.take_owed().then(|| Flushed::now(self.vm, self.slot))
    }

    /// Whether there is something to flush. The caller does it.
    #[inline(always)]
    fn take_owed(&mut self) -> bool {
        let changes = mem::take(&mut self.owed);
        if changes > 1 {
            self.vm.count_merged_flushes(changes - 1);
        }
        changes != 0
    }

    /// As [`flush`](Self::flush), before a hold of the `mmu_lock` of `vm` ends. What is owed to
    /// another VM is not what this hold owes: then the VM is marked as broken, and flushed whole.
    #[inline(always)]
    pub(super) fn settle(&mut self, vm: &Vm) {
        self.flush();
        if !ptr::eq(self.vm, vm) {
            vm.bug();
            vm.flush_remote_tlbs();
        }
    }

    /// Hands the duty to C's caller, which flushes before it drops `mmu_lock`.
    #[inline(always)]
    pub fn into_caller(mut self) -> bool {
        self.take_owed()
    }
}

impl Drop for PendingFlush<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.flush();
    }
}
