// SPDX-License-Identifier: GPL-2.0

//! What it leads to when a guest sends an event by one of its ports, as userspace has assigned it.
//!
//! Such a thing does not change. Userspace replaces it, and whoever uses it just then uses the old one.
//!
//! The model compiles this file as it is.

#![forbid(unsafe_code)]

use super::raw::{
    Event,
    EventFd, //
};

/// What the port is, in Xen's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It leads to itself, at another vCPU.
    Ipi,
    /// It leads to another port, or to userspace.
    Interdomain,
}

/// Where it leads to.
pub enum Destination {
    /// A port of the guest's.
    Port(Event),
    /// Userspace.
    EventFd(EventFd),
}

/// What a port leads to.
pub struct Assigned {
    /// What the port is.
    pub kind: Kind,
    /// Where it leads to.
    pub to: Destination,
}
