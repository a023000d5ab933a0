// SPDX-License-Identifier: GPL-2.0

//! A task that looks for a page.

use super::mm::BorrowedMm;
use crate::kvm::{
    gpc::place::Refused,
    memory::SlotsHeld, //
};
use kernel::{
    mm::{Mm, MmWithUser, MmWithUserAsync},
    sync::aref::ARef, //
};
use kvm_bindings as bindings;

/// A task of the VM's own: it may sleep, has the VM's address space, and holds the memory slots.
///
/// So does a kernel thread that sends the guest an event: it has the VM's address space meanwhile.
///
/// It is a user of the address space. A kernel thread may have borrowed one that nobody uses any more, in
/// which pages still turn up while they are freed already.
///
/// It has the hold of the slots for itself. What borrows from that, as a
/// [`GuestPage`](crate::kvm::gpc::GuestPage) does, does not last until then.
///
/// # Invariants
///
/// The current task has the address space of the VM whose slots they are, and that is not released
/// meanwhile.
pub struct Sleeper<'a> {
    slots: &'a SlotsHeld<'a>,
    /// Not to be released here if this was the last user: that sleeps long, and tells the VM.
    _mm: ARef<MmWithUserAsync>,
    /// What a kernel thread has the address space by. Given back last.
    _borrowed: Option<BorrowedMm<'a>>,
}

impl<'a> Sleeper<'a> {
    /// Takes note that the current task may sleep. Refuses one with another address space, or with one
    /// that goes.
    pub fn new(slots: &'a mut SlotsHeld<'_>) -> Result<Self, Refused> {
        let borrowed = BorrowedMm::new(slots.vm())?;
        let vm = slots.vm().as_ptr();
        // SAFETY: The VM is alive.
        let own = unsafe { bindings::kvmrs_may_sleep_in(vm) };
        // SAFETY: The VM is alive, and its `mm_struct` stays as long as it.
        let mm = unsafe { Mm::from_raw((*vm).mm) };
        let user = own.then(|| mm.mmget_not_zero()).flatten();
        // INVARIANT: The task has that address space now, and `user` keeps it. `SlotsHeld` stays with the task.
        let mm = user.map(MmWithUser::into_mmput_async);
        let _mm = mm.ok_or(Refused::Foreign)?;
        Ok(Self {
            slots,
            _mm,
            _borrowed: borrowed,
        })
    }

    /// The memory slots.
    #[inline(always)]
    pub fn slots(&self) -> &SlotsHeld<'a> {
        self.slots
    }

    /// Waits until the host has ended more changes than `ended`, or somebody kills the task.
    ///
    /// It does so with `kvm->srcu` held. Who changes slots waits for the host before it waits for that.
    pub(in crate::kvm::gpc) fn wait_for_end(&mut self, ended: usize) -> Result<(), Refused> {
        let vm = self.slots.vm();
        let waited = vm.wait_for_end(ended);
        waited.then_some(()).ok_or(Refused::Killed)
    }
}
