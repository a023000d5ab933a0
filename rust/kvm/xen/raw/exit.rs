// SPDX-License-Identifier: GPL-2.0

//! The exit of a vCPU whose guest has called, and how it ends.

use super::caller::Caller;
use kernel::ffi::c_int;
use kvm_bindings as bindings;

/// What the guest's registers say when it calls.
#[derive(Clone, Copy)]
pub struct Said {
    /// The caller runs in 64-bit mode.
    pub wide: bool,
    /// The caller's privilege level.
    pub cpl: u8,
    /// The number of the call.
    pub input: u64,
    /// Its parameters.
    pub params: [u64; 6],
}

impl Caller<'_> {
    /// What the guest says. Whoever traces calls hears it.
    pub fn said(&self) -> Said {
        let vcpu = self.as_ptr();
        let (mut input, mut params) = (0, [0; 6]);
        // SAFETY: By the type's invariant the vCPU is loaded. The function writes a number and six parameters.
        let (wide, cpl) = unsafe {
            (
                bindings::kvmrs_xen_registers(vcpu, &raw mut input, params.as_mut_ptr()),
                bindings::kvmrs_cpl(vcpu),
            )
        };
        // SAFETY: The event reads six parameters.
        unsafe { bindings::kvmrs_trace_xen_hypercall(cpl, input, params.as_ptr()) };
        Said {
            wide,
            cpl,
            input,
            params,
        }
    }

    /// The guest goes on behind its call, with `result`. Returns what the handler of an exit does.
    pub fn go_on(&self, result: u64) -> c_int {
        // SAFETY: By the type's invariant the vCPU is loaded, and the task handles its exit.
        unsafe {
            bindings::kvmrs_set_rax(self.as_ptr(), result);
            bindings::kvm_skip_emulated_instruction(self.as_ptr())
        }
    }

    /// Userspace answers. Returns what the handler of an exit does.
    pub fn to_userspace(&self, said: &Said) -> c_int {
        let vcpu = self.as_ptr();
        // SAFETY: By the type's invariant the vCPU is loaded, and nobody else uses `run`'s part for the exit. Userspace
        // may write to it at any time, so it is only written to. C calls the function with the vCPU loaded, and with
        // a reference to the module, which the VM has.
        unsafe {
            bindings::kvmrs_xen_exit(vcpu, said.wide, said.cpl, said.input, said.params.as_ptr());
            (*vcpu).arch.complete_userspace_io = Some(complete);
        }
        0
    }

    /// What userspace has answered.
    fn userspace_result(&self) -> u64 {
        // SAFETY: By the type's invariant the vCPU is loaded. The function reads a word of `run` once, as userspace may
        // write to it.
        unsafe { bindings::kvmrs_xen_result(self.as_ptr()) }
    }

    /// Whether the guest is still where it called.
    fn is_at_call(&self) -> bool {
        let vcpu = self.as_ptr();
        // SAFETY: By the type's invariant the vCPU is loaded.
        unsafe { bindings::kvm_is_linear_rip(vcpu, (*vcpu).arch.xen.hypercall_rip as usize) }
    }
}

/// Userspace has answered. If the guest was sent elsewhere meanwhile, the answer is for nobody.
///
/// # Safety
///
/// The current task must have loaded `vcpu`, a vCPU of a live VM of this backend, and hold `kvm->srcu` for it.
unsafe extern "C" fn complete(vcpu: *mut bindings::kvm_vcpu) -> c_int {
    // SAFETY: By the section above the task has loaded the vCPU, and holds `kvm->srcu` for it. C calls this before
    // the guest is entered again, so that the exit is still being handled.
    let caller = unsafe { Caller::from_raw(vcpu) };
    if !caller.is_at_call() {
        return 1;
    }
    caller.go_on(caller.userspace_result())
}
