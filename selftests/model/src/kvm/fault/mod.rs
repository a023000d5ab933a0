// SPDX-License-Identifier: GPL-2.0

//! A vCPU and its page fault on the way through the MMU.

#[path = "../../../../../rust/kvm/fault/page_fault.rs"]
mod page_fault;
mod raw;
#[path = "../../../../../rust/kvm/fault/vcpu.rs"]
mod vcpu;

pub use raw::{error, HostFrame, Outcome, PageFault, Request, Vcpu, FIRST_DEVICE_FRAME};
