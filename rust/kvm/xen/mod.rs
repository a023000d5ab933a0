// SPDX-License-Identifier: GPL-2.0

//! What Xen guests share with their host: pages, and the vCPU's state that they tell of.
//!
//! The model compiles all but `raw/`, and has vCPUs of its own.

mod layout;
mod raw;
mod times;

pub use layout::{
    Layout,
    Places,
    COMPAT,
    NATIVE,
    RUNSTATE_STATE, //
};
pub use raw::Runner;
pub use times::{
    RunState,
    Times, //
};
