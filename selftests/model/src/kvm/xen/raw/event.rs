// SPDX-License-Identifier: GPL-2.0

//! What ports of a guest lead to.

use crate::kvm::memory::Counter;
use std::sync::Arc;

/// A port of a vCPU, of which there need not be either.
pub struct Event {
    port: u32,
    vcpu: u32,
}

impl Event {
    /// That one.
    pub fn new(port: u32, vcpu: u32) -> Self {
        Self { port, vcpu }
    }

    /// The number of the port.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// The id of the vCPU.
    pub fn vcpu(&self) -> u32 {
        self.vcpu
    }
}

/// An eventfd.
#[derive(Clone, Default)]
pub struct EventFd(Arc<Counter>);

impl EventFd {
    /// Adds one.
    pub fn signal(&self) {
        self.0.add(1);
    }

    /// How many times that was done.
    pub fn count(&self) -> i64 {
        self.0.get()
    }
}
