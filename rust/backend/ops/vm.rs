// SPDX-License-Identifier: GPL-2.0

//! The life of a VM on this backend.

use crate::kvm::VmState;
use kernel::{
    error::from_result,
    ffi::c_int, //
};
use kvm_bindings as bindings;

/// Makes what the module keeps for the VM.
///
/// # Safety
///
/// `kvm` is a VM under construction, and this is the first hook that is called for it.
pub(in crate::backend) unsafe extern "C" fn create(kvm: *mut bindings::kvm) -> c_int {
    from_result(|| {
        // SAFETY: By the section above this is the first hook, so that nobody uses the VM yet, and it has no state.
        unsafe { VmState::attach(kvm)? };
        Ok(0)
    })
}

/// Frees it.
///
/// # Safety
///
/// `kvm` is a VM for which `create` succeeded, and no other hook is called for it any more.
pub(in crate::backend) unsafe extern "C" fn destroy(kvm: *mut bindings::kvm) {
    // SAFETY: By the section above `create` made the state, and this is the last hook.
    unsafe { VmState::detach(kvm) };
}
