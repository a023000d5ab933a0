// SPDX-License-Identifier: GPL-2.0

//! What Xen guests share with their host: pages, and the vCPU's state that they tell of.
//!
//! The model compiles all but `raw/`, and has vCPUs of its own.

mod assigned;
mod layout;
mod port;
mod raw;
mod times;

pub use assigned::{
    Assigned,
    Destination,
    Kind, //
};
pub use layout::{
    Layout,
    Places,
    CALL,
    COMPAT,
    NATIVE,
    RUNSTATE_STATE, //
};
pub use port::{
    Port,
    Word,
    TWO_LEVELS,
    UPCALL_PENDING,
    VCPU_INFO,
    VCPU_TIME, //
};
pub use raw::{
    Caller,
    Event,
    EventFd,
    Moment,
    Runner,
    Said,
    Stopped,
    Target,
    Timer,
    XenLock, //
};
pub use times::{
    RunState,
    Spent,
    Stay,
    Times, //
};
