// SPDX-License-Identifier: GPL-2.0

//! A timer of the host's, for a vCPU. A thread of the test is the interrupt.

use crate::{
    atomic::{lock, plain::AtomicU32, AtomicU64, Mutex, Ordering::SeqCst},
    sync::{preempt, Number},
};

/// A timer.
pub struct Timer {
    due: AtomicU64,
    undelivered: Number,
    port: AtomicU32,
    /// When the host is to interrupt, if it is, and when it was to last.
    armed: Mutex<(bool, u64)>,
    /// Held by the interrupt.
    running: Mutex<()>,
}

impl Timer {
    /// One that is stopped, and tells by `port`.
    pub fn new(port: u32) -> Self {
        Self {
            due: AtomicU64::new(0),
            undelivered: Number::new(0),
            port: AtomicU32::new(port),
            armed: Mutex::new((false, 0)),
            running: Mutex::new(()),
        }
    }

    /// When it is due, on the guest's clock.
    pub fn due(&self) -> &AtomicU64 {
        &self.due
    }

    /// Whether it has an event that could not be sent.
    pub fn undelivered(&self) -> &Number {
        &self.undelivered
    }

    /// The number of its port.
    pub fn port(&self) -> u32 {
        self.port.load(SeqCst)
    }

    /// Stops it, and waits for the interrupt.
    pub fn stop(&self) -> Stopped<'_> {
        lock(&self.armed).0 = false;
        drop(lock(&self.running));
        Stopped(self)
    }

    /// When the host is to interrupt.
    pub fn armed_for(&self) -> Option<u64> {
        let (armed, at) = *lock(&self.armed);
        armed.then_some(at)
    }

    /// The host's time has come: it interrupts, if the timer is armed.
    pub fn interrupt(&self, expire: impl FnOnce()) {
        let _running = lock(&self.running);
        let armed = std::mem::take(&mut lock(&self.armed).0);
        if armed {
            let _hard_interrupt = preempt::disable();
            expire();
        }
    }
}

/// A timer that does not interrupt.
#[must_use]
pub struct Stopped<'a>(&'a Timer);

impl Stopped<'_> {
    /// It has that port from now on.
    pub fn set_port(self, port: u32) {
        self.0.port.store(port, SeqCst);
    }

    /// The host is to interrupt at this time of its own.
    pub fn start(self, at: u64) {
        *lock(&self.0.armed) = (true, at);
    }

    /// As it was to be before.
    pub fn restart(self) {
        lock(&self.0.armed).0 = true;
    }
}
