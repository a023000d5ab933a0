// SPDX-License-Identifier: GPL-2.0

//! A vCPU and its page fault on the way through the MMU.

mod host_frame;
mod page_fault;
mod vcpu;

pub use host_frame::HostFrame;
pub use page_fault::{
    Outcome,
    PageFault, //
};
pub use vcpu::Vcpu;
