// SPDX-License-Identifier: GPL-2.0

//! `struct kvm_xen` and `struct kvm_vcpu_xen`. The model has its own.

mod caller;
mod event;
mod runner;
mod target;
mod vm;

pub use caller::Caller;
pub use event::Event;
pub use runner::Runner;
pub use target::Target;
