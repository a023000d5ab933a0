// SPDX-License-Identifier: GPL-2.0

//! Outcomes of faults as C's numbers.

#![forbid(unsafe_code)]

use crate::kvm::fault::outcome::Outcome;
use kernel::{
    bindings::{EAGAIN, EFAULT},
    ffi::c_int, //
};
use kvm_bindings as bindings;

impl Outcome {
    /// What the rest of KVM understands: an `RET_PF_*`, or a negative error number.
    #[inline(always)]
    pub fn as_raw(self) -> c_int {
        match self {
            Self::Retry => bindings::RET_PF_RETRY,
            Self::Emulate => bindings::RET_PF_EMULATE,
            Self::WriteProtected => bindings::RET_PF_WRITE_PROTECTED,
            Self::Fixed => bindings::RET_PF_FIXED,
            Self::Spurious => bindings::RET_PF_SPURIOUS,
            Self::TryAgain => -(EAGAIN as c_int),
            Self::OutOfReach => -(EFAULT as c_int),
            Self::Failed(errno) => errno,
        }
    }
}

/// Whether a function of C's says that the fault goes on.
#[inline(always)]
pub(super) fn go_on(raw: c_int) -> Result<(), Outcome> {
    match raw {
        bindings::RET_PF_CONTINUE => Ok(()),
        bindings::RET_PF_RETRY => Err(Outcome::Retry),
        bindings::RET_PF_EMULATE => Err(Outcome::Emulate),
        errno => Err(Outcome::Failed(errno)),
    }
}
