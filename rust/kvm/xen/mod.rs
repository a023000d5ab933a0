// SPDX-License-Identifier: GPL-2.0

//! What Xen guests share with their host: pages, and the vCPU's state that they tell of.
//!
//! The model compiles all but `raw/`, and has vCPUs of its own.

mod layout;
mod port;
mod raw;
mod times;

pub use layout::{
    Layout,
    Places,
    COMPAT,
    NATIVE,
    RUNSTATE_STATE, //
};
pub use port::{
    Port,
    Word,
    UPCALL_PENDING,
    VCPU_INFO, //
};
pub use raw::{
    Caller,
    Event,
    Runner,
    Target, //
};
pub use times::{
    RunState,
    Times, //
};
