// SPDX-License-Identifier: GPL-2.0

//! Calls of guests.

use crate::{
    kvm::xen::{Caller, Layout, Said},
    xen::{
        answer::{answer, Answer},
        hypercall::{Refusal, Registers}, //
    },
};
use kernel::{
    ffi::c_int,
    prelude::*, //
};
use kvm_bindings as bindings;

/// A guest calls (`kvm_xen_hypercall`). Returns 1 if it goes on, 0 for userspace.
///
/// # Safety
///
/// `vcpu` is the current vCPU, whose exit the task handles, with its hold of `kvm->srcu`. May sleep.
pub(in crate::backend) unsafe extern "C" fn hypercall(vcpu: *mut bindings::kvm_vcpu) -> c_int {
    // SAFETY: By the section above the task handles the exit of the vCPU, and holds `kvm->srcu` for it.
    let mut caller = unsafe { Caller::from_raw(vcpu) };
    let said = caller.said();
    match answer(&mut caller, &registers(&said)) {
        Some(answer) => caller.go_on(result(answer)),
        None => caller.to_userspace(&said),
    }
}

fn registers(said: &Said) -> Registers {
    Registers {
        input: said.input,
        params: said.params,
        layout: match said.wide {
            true => Layout::Native,
            false => Layout::Compat,
        },
        cpl: said.cpl,
    }
}

/// What the guest has in a register.
fn result(answer: Answer) -> u64 {
    let refused = |why: Refusal| match why {
        Refusal::Invalid => EINVAL,
        Refusal::Fault => EFAULT,
    };
    // CAST: A negative number, of all bits of the register.
    answer.unwrap_or_else(|why| i64::from(refused(why).to_errno()) as u64)
}
