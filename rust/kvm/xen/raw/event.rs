// SPDX-License-Identifier: GPL-2.0

//! An event as userspace has set it up.

use super::target::Target;
use crate::kvm::{
    memory::Vm,
    xen::TWO_LEVELS, //
};
use kernel::types::Opaque;
use kvm_bindings as bindings;

/// Which port an event is to go by, and to which vCPU: `struct kvm_xen_evtchn`. There need not be either.
///
/// # Invariants
///
/// C keeps the object for as long as there is a reference. All that changes meanwhile is `vcpu_idx`, as one
/// word.
#[repr(transparent)]
pub struct Event(Opaque<bindings::kvm_xen_evtchn>);

// SAFETY: By the type's invariant all that changes is one word, which C's function accesses as such.
unsafe impl Send for Event {}
// SAFETY: As above.
unsafe impl Sync for Event {}

impl Event {
    /// One of the module's own, by the port of that number to the vCPU with that id.
    pub fn new(port: u32, vcpu: u32) -> Self {
        Self(Opaque::new(bindings::kvm_xen_evtchn {
            port,
            vcpu_id: vcpu,
            vcpu_idx: -1,
            priority: TWO_LEVELS,
        }))
    }

    /// Borrows an event from C.
    ///
    /// # Safety
    ///
    /// `ptr` must be an event of the VM that it is used with. During `'a`, it must stay, and nobody may change
    /// it but for `vcpu_idx`.
    #[inline(always)]
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::kvm_xen_evtchn) -> &'a Self {
        // SAFETY: The event stays during `'a`, and the type is transparent over it.
        unsafe { &*ptr.cast() }
    }

    /// C has it from now on.
    ///
    /// # Safety
    ///
    /// `to` must be valid for writes.
    pub unsafe fn move_to(self, to: *mut bindings::kvm_xen_evtchn) {
        // SAFETY: By the section above `to` is valid for writes. The event is this value's own.
        unsafe { to.write(self.0.get().read()) };
    }

    /// The number of its port.
    #[inline(always)]
    pub fn port(&self) -> u32 {
        // SAFETY: By the type's invariant the event is there, and nobody changes the field.
        unsafe { (*self.0.get()).port }
    }

    /// Its vCPU, if there is one by now.
    #[inline]
    pub fn target<'vm>(&self, vm: &'vm Vm) -> Option<&'vm Target> {
        // SAFETY: The VM is alive, and by the type's invariant the event is there. The function accesses `vcpu_idx` as
        // one word.
        let vcpu = unsafe { bindings::kvmrs_xen_target(vm.as_ptr(), self.0.get()) };
        // SAFETY: A vCPU that was found stays as long as its VM.
        (!vcpu.is_null()).then(|| unsafe { Target::from_raw(vcpu) })
    }
}
