// SPDX-License-Identifier: GPL-2.0

//! What a Xen guest shares with its host.

#[path = "../../../../../rust/kvm/xen/assigned.rs"]
mod assigned;
#[path = "../../../../../rust/kvm/xen/layout.rs"]
mod layout;
#[path = "../../../../../rust/kvm/xen/port.rs"]
mod port;
mod raw;
#[path = "../../../../../rust/kvm/xen/times.rs"]
mod times;

pub use assigned::{Assigned, Destination, Kind};
pub use layout::{Layout, Places, CALL, COMPAT, NATIVE, RUNSTATE_STATE};
pub use port::{Port, Word, TWO_LEVELS, UPCALL_PENDING, VCPU_INFO, VCPU_TIME};
pub use raw::{end_stay, Caller, Event, EventFd, Moment, Runner, Stopped, Target, Timer};
pub use times::{RunState, Spent, Stay, Times};
