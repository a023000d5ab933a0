// SPDX-License-Identifier: GPL-2.0

//! A vCPU whose task is the current one, as far as its run state goes.

use super::{Layout, RunState, Times};
use crate::{
    atomic::{
        plain::{lock, AtomicBool, AtomicU64, Mutex},
        Arc,
        Ordering::SeqCst,
    },
    kvm::{gpc::Gpc, Vm},
    sync::preempt,
};

/// A vCPU.
pub struct Runner {
    first: Arc<Gpc>,
    second: Arc<Gpc>,
    times: Mutex<Times>,
    compat: AtomicBool,
    /// The guest's clock.
    pub clock: AtomicU64,
    /// How long the task has waited for a CPU.
    pub delay: AtomicU64,
}

impl Runner {
    /// One of `vm`, with an area that is not in use.
    pub fn new(vm: &Arc<Vm>) -> Self {
        let times = Times {
            state: RunState::Running,
            entry: 0,
            spent: [0; 4],
            waited: 0,
        };
        Self {
            first: Gpc::new(vm),
            second: Gpc::new(vm),
            times: Mutex::new(times),
            compat: AtomicBool::new(false),
            clock: AtomicU64::new(0),
            delay: AtomicU64::new(0),
        }
    }

    /// The guest is of this width from now on.
    pub fn set_layout(&self, layout: Layout) {
        self.compat.store(layout == Layout::Compat, SeqCst);
    }

    /// The guest's width.
    pub fn layout(&self) -> Layout {
        match self.compat.load(SeqCst) {
            true => Layout::Compat,
            false => Layout::Native,
        }
    }

    /// The caches of the area: of the page that it begins in, and of the next one.
    pub fn area(&self) -> (&Gpc, &Gpc) {
        (&self.first, &self.second)
    }

    /// Whether the guest wants to know when its copy is being written.
    pub fn announces(&self) -> bool {
        true
    }

    /// The time on the guest's clock.
    pub fn now(&self) -> u64 {
        self.clock.load(SeqCst)
    }

    /// How long the task has waited for a CPU.
    pub fn waited(&self) -> u64 {
        self.delay.load(SeqCst)
    }

    /// A copy of the times.
    pub fn times(&self) -> Times {
        let _preempt = preempt::disable();
        *lock(&self.times)
    }

    /// Changes the times. Nobody preempts the task meanwhile.
    pub fn change_times(&self, change: impl FnOnce(&mut Times)) {
        let _preempt = preempt::disable();
        change(&mut lock(&self.times));
    }
}
