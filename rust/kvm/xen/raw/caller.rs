// SPDX-License-Identifier: GPL-2.0

//! A vCPU whose guest has called.

use super::{
    event::Event,
    ports::find_assigned,
    runner::Runner,
    target::Target, //
};
use crate::kvm::{
    memory::{SlotsHeld, Vm},
    xen::{Assigned, Layout, CALL}, //
};
use kvm_bindings as bindings;

/// A vCPU of a VM on this backend, whose exit from the guest the current task handles.
///
/// # Invariants
///
/// The task has loaded the vCPU, and holds `kvm->srcu` for it, as `vcpu->srcu_idx` says. `slots` is that hold.
pub struct Caller<'a> {
    target: &'a Target,
    slots: SlotsHeld<'a>,
}

impl<'a> Caller<'a> {
    /// Takes note of what C's caller has.
    ///
    /// # Safety
    ///
    /// The current task must have loaded `ptr`, a vCPU of a live VM of this backend, handle its exit, and hold
    /// `kvm->srcu` for it. That lasts during `'a`.
    #[inline(always)]
    pub unsafe fn from_raw(ptr: *mut bindings::kvm_vcpu) -> Self {
        // SAFETY: By the section above the vCPU is one of a live VM, and stays during `'a`.
        let target = unsafe { Target::from_raw(ptr) };
        // SAFETY: `kvm->srcu` is held during `'a`. `sleep()` gives it up, but nobody borrows from the hold then.
        let slots = unsafe { SlotsHeld::assume(target.vm()) };
        // INVARIANT: By the section above the vCPU is loaded, and `slots` is its hold of `kvm->srcu`.
        Self { target, slots }
    }

    /// The vCPU's hold of the slots.
    #[inline(always)]
    pub fn slots(&mut self) -> &mut SlotsHeld<'a> {
        &mut self.slots
    }

    /// What the port of that number leads to.
    pub fn assigned(&self, number: u32) -> Option<&Assigned> {
        find_assigned(&self.slots, number)
    }

    /// The vCPU, for those who send events.
    #[inline(always)]
    pub fn target(&self) -> &'a Target {
        self.target
    }

    /// The vCPU, as the current task has it.
    #[inline(always)]
    pub fn runner(&self) -> &'a Runner {
        // SAFETY: By the type's invariant the task has loaded the vCPU, for which it holds `vcpu->mutex`.
        unsafe { Runner::from_raw(self.as_ptr()) }
    }

    /// The vCPU that `event` goes to, if there is one by now.
    #[inline]
    pub fn target_of(&self, event: &Event) -> Option<&'a Target> {
        event.target(self.vm())
    }

    /// The version of Xen that the guest is to see. 0 if userspace answers. Another task may change it.
    #[inline]
    pub fn xen_version(&self) -> u32 {
        self.vm().xen_version()
    }

    /// What Xen calls the vCPU, if userspace has said so.
    #[inline]
    pub fn xen_id(&self) -> Option<u32> {
        self.runner().xen_id()
    }

    /// The VM.
    #[inline(always)]
    pub fn vm(&self) -> &'a Vm {
        self.target.vm()
    }

    #[inline(always)]
    pub(super) fn as_ptr(&self) -> *mut bindings::kvm_vcpu {
        self.target.as_ptr()
    }

    /// Whether KVM has its interrupts, and sends events itself. Only then can it know when to wake the vCPU.
    pub fn may_poll(&self) -> bool {
        // SAFETY: By the type's invariant the vCPU is loaded.
        let interrupts = unsafe { bindings::kvmrs_lapic_in_kernel(self.as_ptr()) };
        interrupts && self.vm().xen_flags() & bindings::KVM_XEN_HVM_CONFIG_EVTCHN_SEND != 0
    }

    /// Reads what the guest has at this virtual address of its own. `None` if it has no memory there.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Option<()> {
        let to = bytes.as_mut_ptr().cast();
        // SAFETY: By the type's invariant the vCPU is loaded, and `kvm->srcu` held. `bytes` is borrowed to be written.
        let done = unsafe {
            bindings::kvmrs_read_guest_virt(self.as_ptr(), address, to, bytes.len() as u32)
        };
        done.then_some(())
    }

    /// The layout of the mode that the vCPU is in: that of a 64-bit kernel in long mode, compatibility mode included.
    pub fn mode(&self) -> Layout {
        // SAFETY: By the type's invariant the vCPU is loaded.
        match unsafe { bindings::kvmrs_is_long_mode(self.as_ptr()) } {
            true => Layout::Native,
            false => Layout::Compat,
        }
    }

    /// The instruction by which the guest can call.
    pub fn call_instruction(&self) -> [u8; CALL] {
        let mut instruction = [0; CALL];
        // SAFETY: By the type's invariant the vCPU is loaded. Each vendor's instruction has `CALL` bytes.
        unsafe { bindings::kvmrs_patch_hypercall(self.as_ptr(), instruction.as_mut_ptr()) };
        instruction
    }

    /// Writes to the guest's physical address `address`. `None` if it has no memory there.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Option<()> {
        let (from, len) = (bytes.as_ptr().cast(), bytes.len());
        // SAFETY: By the type's invariant the vCPU is loaded, and `kvm->srcu` held. `bytes` is borrowed to be read.
        let failed = unsafe { bindings::kvm_vcpu_write_guest(self.as_ptr(), address, from, len) };
        (failed == 0).then_some(())
    }

    /// Lets other vCPUs have the CPU that may be what this one waits for.
    pub fn give_way(&self) {
        let yield_to_kernel_mode = true;
        // SAFETY: By the type's invariant the vCPU is loaded.
        unsafe { bindings::kvm_vcpu_on_spin(self.as_ptr(), yield_to_kernel_mode) };
    }

    /// Sleeps until somebody wakes the vCPU, or until so many nanoseconds have passed, if there is a
    /// number.
    ///
    /// `kvm->srcu` is not held meanwhile, so that slots can be changed. What was found in them is gone
    /// afterwards.
    pub fn sleep(&mut self, timeout: Option<u64>) {
        let vcpu = self.as_ptr();
        // SAFETY: By the type's invariant the vCPU is loaded, and the hold of `kvm->srcu` is its own. Nobody
        // borrows from `slots`, and the hold is taken again before anybody can. C has initialised the timer.
        unsafe {
            bindings::kvmrs_set_mp_state(vcpu, bindings::KVM_MP_STATE_HALTED);
            if let Some(timeout) = timeout {
                bindings::kvmrs_start_poll_timer(vcpu, timeout);
            }
            bindings::kvmrs_vcpu_srcu_unlock(vcpu);
            bindings::kvm_vcpu_halt(vcpu);
            bindings::kvmrs_vcpu_srcu_lock(vcpu);
            if timeout.is_some() {
                bindings::kvmrs_stop_poll_timer(vcpu);
            }
            bindings::kvmrs_set_mp_state(vcpu, bindings::KVM_MP_STATE_RUNNABLE);
        }
    }
}
