// SPDX-License-Identifier: GPL-2.0

//! A task that looks for a page.

use crate::{
    atomic::Ordering::SeqCst,
    kvm::{gpc::place::Refused, memory::SlotsHeld},
    lockdep,
};

/// A task of the VM's own, which may sleep. Its address space stays meanwhile.
pub struct Sleeper<'a> {
    slots: &'a SlotsHeld<'a>,
}

impl<'a> Sleeper<'a> {
    /// Takes note that the current task may sleep.
    pub fn new(slots: &'a mut SlotsHeld<'_>) -> Result<Self, Refused> {
        lockdep::might_sleep("a refresh");
        let vm = slots.vm();
        let own = !vm.caches.foreign.load(SeqCst) && vm.get_mm();
        own.then(|| Self { slots }).ok_or(Refused::Foreign)
    }

    /// The memory slots.
    pub fn slots(&self) -> &SlotsHeld<'a> {
        self.slots
    }

    pub(in crate::kvm::gpc) fn wait_for_end(&mut self, ended: usize) -> Result<(), Refused> {
        let waited = self.slots.vm().wait_for_end(ended);
        waited.then_some(()).ok_or(Refused::Killed)
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.slots.vm().put_mm();
    }
}
