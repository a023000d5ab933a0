// SPDX-License-Identifier: GPL-2.0

//! What the host tells about the memory behind a VM: it is taken away, or asked whether it is in use.
//!
//! Each change of the host's page tables has a [`start`] and an [`end`], and others may be under way
//! at the same time. What holds from a start's return to its end:
//!
//! - no vCPU, no other CPU's TLB and no pfn cache reaches the memory, and no fault maps it. The frames
//!   of *all* slots are known as being taken away before the first of them is zapped: a walk may give
//!   way in the middle, and what it has passed must not come back;
//! - memory slots do not change. So the end finds the slots that the start has found, and goes by
//!   them as C's does;
//! - if no slot lies in the range, neither takes `mmu_lock`.
//!
//! The flush comes before `mmu_lock` goes. Others who find an entry zapped owe nothing for it.
//!
//! An end that finds slots takes its start out of the record. If there is none that it could be, the
//! VM is broken, and its statistics have one more `mmu_notifier_unmatched`. A VM that hears nothing
//! any more, as it is being destroyed, is left with starts that never end: C resets its count of them.
//!
//! C counterpart: `kvm_mmu_notifier_*()` in `virt/kvm/kvm_main.c`.

use super::{
    age::{age_range, test_age_range},
    visitor::GiveWay,
    zap::unmap_range, //
};
use crate::{
    kvm::{
        host::{self, Aging},
        AnySlots,
        GfnRange,
        MemSlot,
        PendingFlush,
        SlotRange,
        Start,
        Vm, //
    },
    mm::{
        notifier::{Ended, Released},
        HostRange, //
    },
};

/// The host is about to take pages of `range` away.
pub fn start(vm: &Vm, range: HostRange, give_way: GiveWay) {
    host::trace_unmap(range);
    // Pfn caches have locks of their own, which must not be taken under `mmu_lock`.
    vm.begin_change(range).invalidate_caches();
    if vm.with_slots(|slots| unmap(vm, slots, range, give_way)) {
        vm.guest_memory_reclaimed();
    }
}

/// Zaps what the VM maps of `range`. Returns whether any slot lies there.
fn unmap(vm: &Vm, slots: &AnySlots<'_>, range: HostRange, give_way: GiveWay) -> bool {
    let mut parts = slots.in_host_range(range);
    // The first is found before others have to wait for the lock.
    let Some(first) = parts.next() else {
        return false;
    };
    let all = parts
        .clone()
        .fold(first.1, |all, (_, frames)| all.hull(frames));
    let mut lock = vm.mmu_write();
    let begun = lock.begin(range, all);
    let mut flush = PendingFlush::none(vm);
    let mut next = Some(first);
    while let Some((slot, frames)) = next {
        let range = in_slot(slot, frames, give_way);
        lock.unmap_shadow(&begun, slots, range, &mut flush);
        flush = unmap_range(&mut lock, range, flush);
        lock.reload_apic_access_page(slot);
        next = parts.next();
    }
    flush.flush();
    begun.leave_to_end();
    true
}

fn in_slot(slot: &MemSlot, range: GfnRange, give_way: GiveWay) -> SlotRange {
    SlotRange {
        range,
        address_space: slot.address_space(),
        may_block: give_way == GiveWay::WhenAsked,
    }
}

/// The host has changed its page tables for `range`: vCPUs may map it again.
pub fn end(vm: &Vm, ended: Ended<'_>) {
    let range = ended.range();
    let has_slots = vm.with_slots(|slots| slots.in_host_range(range).next().is_some());
    let start = if has_slots {
        end_begun(vm, &ended)
    } else {
        Start::Elided
    };
    vm.end_change(ended, start);
}

fn end_begun(vm: &Vm, ended: &Ended<'_>) -> Start {
    let mut lock = vm.mmu_write();
    let Some(begun) = lock.begun(ended) else {
        return Start::Missing;
    };
    lock.end(begun);
    Start::Recorded
}

/// Makes pages of `range` old, without `mmu_lock`. Returns whether any of them was accessed. A CPU may
/// go on with what its TLB says, and x86 lets it.
pub fn clear_young(vm: &Vm, range: HostRange) -> bool {
    host::trace_age(range);
    vm.with_slots(|slots| {
        slots
            .in_host_range(range)
            .fold(false, |young, (slot, frames)| {
                young
                    | age_range(vm, in_slot(slot, frames, GiveWay::Never))
                    | vm.age_shadow(slot, frames, Aging::MakeOld)
            })
    })
}

/// Whether the page at `address` was accessed, without `mmu_lock`.
pub fn test_young(vm: &Vm, address: usize) -> bool {
    host::trace_test_age(address);
    vm.with_slots(|slots| {
        slots
            .in_host_range(HostRange::one(address))
            .any(|(slot, frames)| {
                test_age_range(vm, in_slot(slot, frames, GiveWay::Never))
                    || vm.age_shadow(slot, frames, Aging::Test)
            })
    })
}

/// The host's address space goes away, and the VM's memory with it. C leaves pfn caches alone, and a timer
/// may still use them.
pub fn release(vm: &Vm, released: Released<'_>) {
    vm.invalidate_all_caches();
    vm.with_slots(|_| {
        vm.unmap_everything(released);
        vm.guest_memory_reclaimed();
    });
}
