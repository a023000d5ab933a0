// SPDX-License-Identifier: GPL-2.0

//! A vCPU and its page fault on the way through the MMU.

#[path = "../../../../../rust/kvm/fault/logged_write.rs"]
mod logged_write;
#[path = "../../../../../rust/kvm/fault/outcome.rs"]
mod outcome;
#[path = "../../../../../rust/kvm/fault/page_fault.rs"]
mod page_fault;
mod raw;
#[path = "../../../../../rust/kvm/fault/resolved.rs"]
mod resolved;
#[path = "../../../../../rust/kvm/fault/vcpu.rs"]
mod vcpu;

pub use outcome::{Counted, Outcome};
pub use raw::{error, HostFrame, PageFault, Request, Vcpu, FIRST_DEVICE_FRAME};
pub use resolved::{Current, Resolved, Snapshot};
