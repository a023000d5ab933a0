// SPDX-License-Identifier: GPL-2.0

//! What a Xen guest shares with its host.

#[path = "../../../../../rust/kvm/xen/layout.rs"]
mod layout;
mod runner;
#[path = "../../../../../rust/kvm/xen/times.rs"]
mod times;

pub use layout::{Layout, Places, COMPAT, NATIVE, RUNSTATE_STATE};
pub use runner::Runner;
pub use times::{RunState, Times};
