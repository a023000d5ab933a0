// SPDX-License-Identifier: GPL-2.0

//! RCU that frees as early as it may, so that a late use has no luck.
//!
//! Each section gets a ticket. A callback runs as soon as no section with an earlier ticket is
//! open: in the very [`Guard`]'s drop that closed the last one.

use crate::{
    atomic::{begin_section, lock, yield_now, Arc, Mutex},
    lockdep,
    machine::Machine,
};
use std::{
    collections::{BTreeSet, VecDeque},
    marker::PhantomData,
};

type Callback = Box<dyn FnOnce() + Send>;

/// The sections and callbacks of one machine.
///
/// The lock is what orders a section behind the end of a grace period, so it is a checked one.
#[derive(Default)]
pub struct Domain(Mutex<State>);

#[derive(Default)]
struct State {
    next: u64,
    open: BTreeSet<u64>,
    waiting: VecDeque<(u64, Callback)>,
}

impl State {
    /// The callbacks whose time has come.
    fn due(&mut self) -> Vec<Callback> {
        let oldest = self.open.first().copied().unwrap_or(u64::MAX);
        let ready = self.waiting.partition_point(|(stamp, _)| *stamp <= oldest);
        self.waiting.drain(..ready).map(|(_, run)| run).collect()
    }
}

impl Domain {
    /// Runs `callback` once all sections that are open now are closed.
    pub fn call_rcu(&self, callback: impl FnOnce() + Send + 'static) {
        let due = {
            let mut state = lock(&self.0);
            let stamp = state.next;
            state.waiting.push_back((stamp, Box::new(callback)));
            state.due()
        };
        due.into_iter().for_each(|run| run());
    }

    fn open(&self) -> u64 {
        let mut state = lock(&self.0);
        let ticket = state.next;
        state.next += 1;
        state.open.insert(ticket);
        ticket
    }

    fn close(&self, ticket: u64) {
        let due = {
            let mut state = lock(&self.0);
            state.open.remove(&ticket);
            state.due()
        };
        due.into_iter().for_each(|run| run());
    }

    fn is_idle(&self) -> bool {
        lock(&self.0).waiting.is_empty()
    }
}

/// An open read-side section.
pub struct Guard {
    machine: Arc<Machine>,
    ticket: u64,
    // A section belongs to its thread.
    _thread: PhantomData<*mut ()>,
}

/// Opens a section on the thread's machine.
pub fn read_lock() -> Guard {
    let machine = Machine::current();
    lockdep::acquire_rcu();
    begin_section();
    let ticket = machine.rcu.open();
    Guard {
        machine,
        ticket,
        _thread: PhantomData,
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.machine.rcu.close(self.ticket);
        lockdep::release_rcu();
    }
}

/// Waits until all callbacks so far have run.
pub fn rcu_barrier() {
    lockdep::might_sleep("rcu_barrier()");
    let machine = Machine::current();
    while !machine.rcu.is_idle() {
        yield_now();
    }
}

/// An open section. The model has none that a caller in C opened.
pub trait Rcu {}

impl Rcu for Guard {}
