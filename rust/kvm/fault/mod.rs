// SPDX-License-Identifier: GPL-2.0

//! A vCPU and its page fault on the way through the MMU.
//!
//! The model compiles all but `raw/`, and has vCPUs of its own.

mod page_fault;
mod raw;
mod vcpu;

pub use raw::{
    HostFrame,
    Outcome,
    PageFault,
    Vcpu, //
};
