// SPDX-License-Identifier: GPL-2.0

//! vCPUs and page faults, as C has them.

mod format;
mod host_frame;
mod page;
mod page_fault;
mod vcpu;

pub use host_frame::{HostFrame, FIRST_DEVICE_FRAME};
pub use page_fault::{error, PageFault, Request};
pub use vcpu::Vcpu;

pub(super) const EPT_EXEC: u64 = 1 << 2;
pub(super) const EPT_USER_EXEC: u64 = 1 << 10;
