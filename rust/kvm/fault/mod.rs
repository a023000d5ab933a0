// SPDX-License-Identifier: GPL-2.0

//! A vCPU and its page fault on the way through the MMU.
//!
//! Read `resolved.rs` first: what has to come before what, and which type each step leads to.
//!
//! The model compiles all but `raw/`, and has vCPUs of its own.

mod logged_write;
mod outcome;
mod page_fault;
mod raw;
mod resolved;
mod vcpu;

pub use outcome::{
    Counted,
    Outcome, //
};
pub use raw::{
    HostFrame,
    PageFault,
    Vcpu, //
};
pub use resolved::{
    Current,
    Resolved,
    Snapshot, //
};
