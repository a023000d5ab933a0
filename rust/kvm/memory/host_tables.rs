// SPDX-License-Identifier: GPL-2.0

//! The host's page tables behind a VM's memory, for those who only look.

use super::{any_vm::AnyVm, memslot::MemSlot};
use crate::kvm::types::{
    Gfn,
    Level,
    Pfn,
    PAGE_SHIFT, //
};
use core::marker::PhantomData;
use kernel::{
    mm::{Mm, MmWithUser, MmWithUserAsync},
    sync::aref::ARef, //
};
use kvm_bindings as bindings;

/// The host's page tables of a VM, which are not freed as a whole while this exists.
pub struct HostTables<'vm> {
    mm: ARef<MmWithUserAsync>,
    _vm: PhantomData<&'vm AnyVm>,
}

impl AnyVm {
    /// The host's page tables. `None` if the last task that uses them is about to end.
    pub fn host_tables(&self) -> Option<HostTables<'_>> {
        // SAFETY: The VM is alive, and its `mm_struct` stays as long as it.
        let mm = unsafe { Mm::from_raw((*self.as_ptr()).mm) };
        Some(HostTables {
            mm: MmWithUser::into_mmput_async(mm.mmget_not_zero()?),
            _vm: PhantomData,
        })
    }
}

impl HostTables<'_> {
    /// Whether the host has `pfn` where `slot`, which contains `gfn`, shows it, in a page of `level`
    /// or a larger one.
    ///
    /// Nobody is waited for, so this may be over as soon as it is known. But where an entry of the
    /// VM's maps a host page, the host cannot take that away without an invalidation, and that waits
    /// for whoever holds `mmu_lock`.
    pub fn has(&self, slot: &MemSlot, gfn: Gfn, level: Level, pfn: Pfn) -> bool {
        let offset = gfn.offset_from(slot.range().start) << PAGE_SHIFT;
        let address = slot.host_range().start.wrapping_add(offset as usize);
        let mm = self.mm.as_raw();
        // SAFETY: The tables are there. The function takes any address, and reads only.
        unsafe { bindings::kvmrs_host_has(mm, address, level.raw().into(), pfn.raw()) }
    }
}
