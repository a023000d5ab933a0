// SPDX-License-Identifier: GPL-2.0

//! A vCPU whose task is the current one, as far as its run state goes.

use crate::{
    atomic::{
        plain::{lock, AtomicBool, AtomicU64, Mutex},
        Arc,
        Ordering::SeqCst,
    },
    kvm::{
        gpc::Gpc,
        xen::{Layout, Moment, RunState, Spent, Stay, Target, Times},
        Vm,
    },
    sync::preempt,
};

/// A vCPU.
pub struct Runner {
    vm: Arc<Vm>,
    first: Arc<Gpc>,
    second: Arc<Gpc>,
    times: Mutex<Times>,
    target: Target,
    time_info: Arc<Gpc>,
    owed: AtomicBool,
    /// What Xen calls it.
    pub id: Mutex<Option<u32>>,
    /// By how much TSC ticks are shifted and multiplied, if they are steady.
    pub ticks: Mutex<Option<(i8, u32)>>,
    /// What the host's clock and the guest's TSC say.
    pub moment: Mutex<Moment>,
    /// The guest's clock.
    pub clock: AtomicU64,
    /// How long the task has waited for a CPU.
    pub delay: AtomicU64,
}

impl Runner {
    /// One of `vm`, with an area that is not in use.
    pub fn new(vm: &Arc<Vm>) -> Self {
        Self::told_by(vm, None)
    }

    /// One that is told of events by `vector`, if it has one.
    pub fn told_by(vm: &Arc<Vm>, vector: Option<u8>) -> Self {
        let times = Times {
            state: RunState::Running,
            entry: 0,
            spent: [0; 4],
            waited: 0,
        };
        Self {
            vm: vm.clone(),
            first: Gpc::new(vm),
            second: Gpc::new(vm),
            times: Mutex::new(times),
            target: Target::new(vm, vector),
            time_info: Gpc::new(vm),
            owed: AtomicBool::new(false),
            id: Mutex::new(None),
            ticks: Mutex::new(None),
            moment: Mutex::new(Moment { host: 0, tsc: 0 }),
            clock: AtomicU64::new(0),
            delay: AtomicU64::new(0),
        }
    }

    /// The VM.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// The vCPU, for those who send events.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What Xen calls it.
    pub fn xen_id(&self) -> Option<u32> {
        *lock(&self.id)
    }

    /// The cache of its clock in a place of its own.
    pub fn time_info(&self) -> &Gpc {
        &self.time_info
    }

    /// Whether its clock goes by a steady TSC.
    pub fn has_steady_clock(&self) -> bool {
        lock(&self.ticks).is_some()
    }

    /// By how much TSC ticks are shifted and multiplied.
    pub fn ticks(&self) -> (i8, u32) {
        lock(&self.ticks).expect("they are steady")
    }

    /// This moment.
    pub fn moment(&self) -> Moment {
        *lock(&self.moment)
    }

    /// The time on the host's clock.
    pub fn host_now(&self) -> u64 {
        self.moment().host
    }

    /// The guest is of this width from now on.
    pub fn set_layout(&self, layout: Layout) {
        self.target.set_layout(layout);
    }

    /// The guest's width.
    pub fn layout(&self) -> Layout {
        self.target.layout()
    }

    /// Whether the guest is owed its copy.
    pub fn is_owed(&self) -> bool {
        self.owed.load(SeqCst)
    }

    /// It is, or no longer.
    pub fn set_owed(&self, owed: bool) {
        self.owed.store(owed, SeqCst);
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
    pub fn change_times<R>(&self, change: impl FnOnce(&mut Times) -> R) -> R {
        let _preempt = preempt::disable();
        change(&mut lock(&self.times))
    }

    /// A stay ends, and another begins. As above.
    pub fn end_stay(&self, change: impl FnOnce(&mut Stay) -> Spent) {
        self.change_times(|times| end_stay(times, change));
    }
}

/// What the kernel does where the times are.
pub fn end_stay(times: &mut Times, change: impl FnOnce(&mut Stay) -> Spent) {
    let mut stay = times.stay();
    change(&mut stay).add_to(&mut times.spent);
    (times.state, times.entry, times.waited) = (stay.state, stay.entry, stay.waited);
}
