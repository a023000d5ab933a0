// SPDX-License-Identifier: GPL-2.0

//! `struct kvm_xen` and `struct kvm_vcpu_xen`. The model has its own.

mod caller;
mod clock;
mod event;
mod eventfd;
mod exit;
mod lock;
mod ports;
mod runner;
mod settings;
mod target;
mod timer;
mod vm;

pub use caller::Caller;
pub use clock::Moment;
pub use event::Event;
pub use eventfd::EventFd;
pub use exit::Said;
pub use lock::XenLock;
pub use runner::Runner;
pub use target::Target;
pub use timer::{
    Stopped,
    Timer, //
};
