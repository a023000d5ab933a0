// SPDX-License-Identifier: GPL-2.0

//! vCPUs of a Xen guest.

mod caller;
mod clock;
mod event;
mod runner;
mod target;
mod timer;

pub use caller::Caller;
pub use clock::Moment;
pub use event::{Event, EventFd};
pub use runner::{end_stay, Runner};
pub use target::Target;
pub use timer::{Stopped, Timer};
