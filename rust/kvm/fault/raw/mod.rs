// SPDX-License-Identifier: GPL-2.0

//! C's vCPUs and page faults, and what is read from or done to them by one call. The model has its own.

mod host_frame;
mod outcome;
mod page;
mod page_fault;
mod vcpu;

pub use host_frame::HostFrame;
pub use page_fault::PageFault;
pub use vcpu::Vcpu;

use kvm_bindings as bindings;

/// The bits of error codes.
pub(super) mod error {
    pub(in crate::kvm::fault) use kvm_bindings::{
        PFERR_FETCH_MASK as FETCH,
        PFERR_USER_MASK as USER,
        PFERR_WRITE_MASK as WRITE, //
    };
}

/// EPT's permission to execute; in supervisor mode, if there is one for each.
pub(super) const EPT_EXEC: u64 = bindings::VMX_EPT_EXECUTABLE_MASK;

/// EPT's permission to execute in user mode.
pub(super) const EPT_USER_EXEC: u64 = bindings::VMX_EPT_USER_EXECUTABLE_MASK;
