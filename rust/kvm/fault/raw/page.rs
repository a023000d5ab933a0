// SPDX-License-Identifier: GPL-2.0

//! The page of a fault: how C looks it up, at which level it is to be mapped, and what becomes of the
//! reference to it.

use super::{
    outcome::go_on,
    page_fault::PageFault, //
};
use crate::kvm::{
    fault::outcome::Outcome,
    lock::{MmuLock, Mode, Shared},
    memory::MemSlot,
    table::Link,
    trace,
    types::{Access, Gfn, Level, Pfn}, //
};
use core::{
    mem,
    ptr, //
};
use kvm_bindings as bindings;

impl PageFault<'_> {
    /// Looks up the page of a fault with a slot. If there is none, says what becomes of the fault.
    #[inline(always)]
    pub(in crate::kvm::fault) fn find_page(&mut self) -> Result<(), Outcome> {
        let vcpu = self.vcpu.as_ptr();
        // SAFETY: The vCPU is the current task's, and the fault is its. `look_up()` has seen that it has a
        // slot.
        go_on(unsafe { bindings::kvm_mmu_lookup_pfn(vcpu, self.raw) })?;
        // SAFETY: No requirements.
        if unsafe { bindings::kvmrs_is_error_noslot_pfn(self.raw.pfn) } {
            // SAFETY: As above. There is no page with an error.
            return go_on(unsafe { bindings::kvm_handle_error_pfn(vcpu, self.raw) });
        }
        Ok(())
    }

    /// Makes the fault one without a slot. If it need not be mapped, says what becomes of it.
    #[inline(always)]
    pub(in crate::kvm::fault) fn leave_slot(&mut self) -> Result<(), Outcome> {
        // SAFETY: The vCPU is the current task's, and the fault is its. No page was looked up.
        go_on(unsafe {
            bindings::kvm_handle_noslot_fault(self.vcpu.as_ptr(), self.raw, bindings::ACC_ALL)
        })
    }

    /// Tells userspace that the memory is not what the guest takes it for.
    #[inline(always)]
    pub(in crate::kvm::fault) fn prepare_exit(self) -> Outcome {
        // SAFETY: The vCPU is the current task's, and the fault is its.
        unsafe { bindings::kvmrs_prepare_memory_fault_exit(self.vcpu.as_ptr(), self.raw) };
        Outcome::Failed(-(kernel::bindings::EFAULT as i32))
    }

    /// Drops the reference to the page, if there still is one. It was not mapped.
    #[inline(always)]
    pub(in crate::kvm::fault) fn release_unused(&mut self) {
        let page = mem::replace(&mut self.raw.refcounted_page, ptr::null_mut());
        // SAFETY: By the type's invariant there was a reference, and it is gone from the fault.
        unsafe { bindings::kvmrs_release_page_unused(page) };
    }

    /// Drops the reference to the page, which an entry maps now. Only for
    /// [`Current`](crate::kvm::Current), with its lock.
    #[inline(always)]
    pub(in crate::kvm::fault) fn release_mapped(&mut self, lock: &MmuLock<'_, Shared>) {
        let page = mem::replace(&mut self.raw.refcounted_page, ptr::null_mut());
        // SAFETY: As above, and the VM is alive. Its lock is held, by the invariant of `Current`.
        unsafe {
            bindings::kvmrs_release_page_mapped(lock.vm().as_ptr(), page, self.raw.map_writable)
        };
    }

    /// The host frame.
    #[inline(always)]
    pub(in crate::kvm::fault) fn page_pfn(&self) -> Pfn {
        Pfn::new(self.raw.pfn)
    }

    /// The highest level that the host can map the page at. A folio that is smaller than a huge page is mapped in
    /// small ones only. If this said too little, the page would be mapped in smaller ones: that is right, too. Of a
    /// page without a reference, nothing is known.
    #[inline(always)]
    pub(in crate::kvm::fault) fn page_max_level(&self) -> Level {
        let page = self.raw.refcounted_page;
        // SAFETY: By the type's invariant there is a reference to the page, if it is not NULL.
        match !page.is_null() && unsafe { bindings::kvmrs_page_is_small(page) } {
            true => Level::PG_4K,
            false => Level::MAX_HUGEPAGE,
        }
    }

    /// Whether the host lets the guest write to the page.
    #[inline(always)]
    pub(in crate::kvm::fault) fn is_page_writable(&self) -> bool {
        self.raw.map_writable
    }

    /// The level to map at.
    #[inline(always)]
    pub(in crate::kvm::fault) fn chosen_goal_level(&self) -> Level {
        Level::new(self.raw.goal_level.into()).unwrap_or(Level::PG_4K)
    }

    /// The level that would be mapped at but for the NX workaround.
    #[inline(always)]
    pub(in crate::kvm::fault) fn chosen_req_level(&self) -> Level {
        Level::new(self.raw.req_level.into()).unwrap_or(Level::PG_4K)
    }

    /// Whether there must not be an executable huge page for this fault.
    #[inline(always)]
    pub(in crate::kvm::fault) fn is_huge_page_disallowed(&self) -> bool {
        self.raw.huge_page_disallowed
    }

    /// Chooses the levels. Only for [`Current`](crate::kvm::Current): `mmu_lock` is held.
    #[inline(always)]
    pub(in crate::kvm::fault) fn choose_level(&mut self) {
        // SAFETY: Both are borrowed. `current()`, which is what asks, has the hold of `mmu_lock`.
        unsafe { bindings::kvm_mmu_hugepage_adjust(self.vcpu.as_ptr(), self.raw) };
    }

    /// Steps below `link` if the table it links must stay.
    #[inline(always)]
    pub(in crate::kvm::fault) fn choose_level_for_nx<M: Mode>(&mut self, link: &Link<'_, M>) {
        if !self.raw.nx_huge_page_workaround_enabled {
            return;
        }
        // SAFETY: `link` proves that the value is that of a link to a table that is still there.
        unsafe {
            bindings::disallowed_hugepage_adjust(
                self.raw,
                link.spte().raw(),
                link.level().raw().into(),
            )
        };
    }

    /// Tells the shadow MMU that `gfn`, which lies in `slot`, is about to become writable. Returns
    /// whether writes to it are tracked, so that it must not.
    #[inline(always)]
    pub(in crate::kvm::fault) fn is_write_tracked(&self, slot: &MemSlot, gfn: Gfn) -> bool {
        let (vm, synchronizing) = (self.vcpu.vm().as_ptr(), false);
        // SAFETY: All are alive. `must_write_protect()` has seen that the slot counts who tracks `gfn`. The number of
        // shadow pages changes only with `mmu_lock` held for write, and it is held for read for as long as there is a
        // `Current`.
        unsafe {
            // Most VMs have no shadow page of guest page tables, so there is none to tell.
            if (*vm).arch.indirect_shadow_pages == 0 {
                return bindings::kvm_gfn_is_write_tracked(vm, slot.as_ptr(), gfn.raw());
            }
            bindings::mmu_try_to_unsync_pages(
                vm,
                slot.as_ptr(),
                gfn.raw(),
                synchronizing,
                self.raw.prefetch,
            ) != 0
        }
    }

    /// `kvm_mmu_spte_requested`.
    #[inline(always)]
    pub(in crate::kvm::fault) fn trace_requested(&mut self, access: Access) {
        // SAFETY: The fault is valid, and C has just chosen its goal. All access bits fit a byte.
        unsafe { trace::spte_requested(self.raw, access.raw() as u8) };
    }
}
