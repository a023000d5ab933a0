// SPDX-License-Identifier: GPL-2.0

//! A task that looks for a page.

use crate::kvm::{
    gpc::place::Refused,
    memory::SlotsHeld, //
};
use kvm_bindings as bindings;

/// A task of the VM's own: it may sleep, has the VM's address space, and holds the memory slots.
///
/// It has the hold of the slots for itself. What borrows from that, as a
/// [`GuestPage`](crate::kvm::gpc::GuestPage) does, does not last until then.
///
/// # Invariants
///
/// The current task has the address space of the VM whose slots they are.
pub struct Sleeper<'a> {
    slots: &'a SlotsHeld<'a>,
}

impl<'a> Sleeper<'a> {
    /// Takes note that the current task may sleep. Refuses one with another address space.
    pub fn new(slots: &'a mut SlotsHeld<'_>) -> Result<Self, Refused> {
        // SAFETY: The VM is alive.
        let own = unsafe { bindings::kvmrs_may_sleep_in(slots.vm().as_ptr()) };
        // INVARIANT: It was looked at, and `SlotsHeld` stays with the task.
        own.then_some(Self { slots }).ok_or(Refused::Foreign)
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
