// SPDX-License-Identifier: GPL-2.0

//! What a Xen guest shares with its host.

mod caller;
#[path = "../../../../../rust/kvm/xen/layout.rs"]
mod layout;
#[path = "../../../../../rust/kvm/xen/port.rs"]
mod port;
mod runner;
mod target;
#[path = "../../../../../rust/kvm/xen/times.rs"]
mod times;

pub use caller::Caller;
pub use layout::{Layout, Places, COMPAT, NATIVE, RUNSTATE_STATE};
pub use port::{Port, Word, UPCALL_PENDING, VCPU_INFO};
pub use runner::Runner;
pub use target::Target;
pub use times::{RunState, Times};
