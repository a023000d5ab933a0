// SPDX-License-Identifier: GPL-2.0

//! A vCPU whose task is the current one, as far as its run state goes.

use crate::{
    kvm::{
        gpc::Gpc,
        memory::Vm,
        xen::{Layout, RunState, Spent, Stay, Target, Times}, //
    },
    sync::preempt, //
};
use kernel::types::{
    NotThreadSafe,
    Opaque, //
};
use kvm_bindings as bindings;

/// A vCPU of a VM on this backend, with the state of its that a Xen guest sees.
///
/// # Invariants
///
/// C keeps the vCPU, and its VM, for as long as there is a reference. The current task has the vCPU: it holds
/// `vcpu->mutex`. Beside it only the scheduler uses the fields of its run state, when it takes the CPU from the
/// task, and never while the task has preemption off. The vCPU's caches are initialised.
#[repr(transparent)]
pub struct Runner(Opaque<bindings::kvm_vcpu>, NotThreadSafe);

impl Runner {
    /// Borrows a vCPU from C.
    ///
    /// # Safety
    ///
    /// `ptr` must be a vCPU of a live VM of this backend. During `'a`, it must stay, and the current task must
    /// have it.
    #[inline(always)]
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::kvm_vcpu) -> &'a Self {
        // SAFETY: The vCPU stays during `'a`, and the type is transparent over it.
        // INVARIANT: C initialises the caches when it makes the vCPU.
        unsafe { &*ptr.cast() }
    }

    #[inline(always)]
    pub(super) fn as_ptr(&self) -> *mut bindings::kvm_vcpu {
        self.0.get()
    }

    #[inline(always)]
    pub(super) fn xen(&self) -> *mut bindings::kvm_vcpu_xen {
        // SAFETY: By the type's invariant the vCPU is there.
        unsafe { &raw mut (*self.0.get()).arch.xen }
    }

    /// The VM.
    #[inline(always)]
    pub fn vm(&self) -> &Vm {
        // SAFETY: By the type's invariant the VM is one of this backend, and stays.
        unsafe { Vm::from_raw((*self.0.get()).kvm) }
    }

    /// The caches of the guest's copy: of the page that it begins in, and of the next one.
    #[inline(always)]
    pub fn area(&self) -> (&Gpc, &Gpc) {
        let xen = self.xen();
        // SAFETY: By the type's invariant both are initialised, and stay as long as the vCPU.
        unsafe {
            (
                Gpc::from_raw(&raw mut (*xen).runstate_cache),
                Gpc::from_raw(&raw mut (*xen).runstate2_cache),
            )
        }
    }

    /// The vCPU, for those who send events.
    #[inline(always)]
    pub fn target(&self) -> &Target {
        // SAFETY: By the type's invariant the VM is one of this backend, and the vCPU stays.
        unsafe { Target::from_raw(self.0.get()) }
    }

    /// The cache of its clock in a place of its own.
    #[inline(always)]
    pub fn time_info(&self) -> &Gpc {
        // SAFETY: By the type's invariant the cache is initialised, and stays.
        unsafe { Gpc::from_raw(&raw mut (*self.xen()).vcpu_time_info_cache) }
    }

    /// The layout of the guest. Another task may change it at any time.
    #[inline(always)]
    pub fn layout(&self) -> Layout {
        self.vm().xen_layout()
    }

    /// Whether the guest wants to know when its copy is being written. As above.
    #[inline(always)]
    pub fn announces(&self) -> bool {
        self.vm().xen_announces()
    }

    /// The time on the guest's clock.
    #[inline]
    pub fn now(&self) -> u64 {
        // SAFETY: The VM is alive.
        unsafe { bindings::get_kvmclock_ns(self.vm().as_ptr()) }
    }

    /// How long the current task has waited for a CPU, altogether.
    #[inline]
    pub fn waited(&self) -> u64 {
        // SAFETY: No requirements.
        unsafe { bindings::kvmrs_run_delay() }
    }

    /// Whether the guest is owed its copy.
    #[inline(always)]
    pub fn is_owed(&self) -> bool {
        // SAFETY: By the type's invariant only the scheduler uses the field beside the task, a byte at once.
        unsafe { (&raw const (*self.xen()).runstate_owed).read_volatile() }
    }

    /// It is, or no longer.
    #[inline(always)]
    pub fn set_owed(&self, owed: bool) {
        // SAFETY: As above.
        unsafe { (&raw mut (*self.xen()).runstate_owed).write_volatile(owed) };
    }

    /// A copy of the times.
    #[inline(always)]
    pub fn times(&self) -> Times {
        self.load(&preempt::disable())
    }

    /// Changes the times. The scheduler, which changes them as well, does not come in between.
    #[inline(always)]
    pub fn change_times<R>(&self, change: impl FnOnce(&mut Times) -> R) -> R {
        let preempt = preempt::disable();
        let mut times = self.load(&preempt);
        let result = change(&mut times);
        self.store(&times, &preempt);
        result
    }

    /// The vCPU's stay in its state ends, and another begins, as `change` says. The scheduler does not come in between.
    ///
    /// So does [`change_times`](Self::change_times), which copies all times to and fro.
    #[inline(always)]
    pub fn end_stay(&self, change: impl FnOnce(&mut Stay) -> Spent) {
        let preempt = preempt::disable();
        let mut stay = self.load(&preempt).stay();
        let spent = change(&mut stay);
        let xen = self.xen();
        // SAFETY: As for `load()`.
        unsafe {
            spent.add_to(&mut (*xen).runstate_times);
            (*xen).current_runstate = stay.state as u32;
            (*xen).runstate_entry_time = stay.entry;
            (*xen).last_steal = stay.waited;
        }
    }

    #[inline(always)]
    fn load(&self, _preempt: &preempt::Guard) -> Times {
        let xen = self.xen();
        // SAFETY: By the type's invariant only the scheduler could use the fields, but preemption is off.
        unsafe {
            Times {
                // C refuses other numbers.
                state: RunState::new((*xen).current_runstate.into()).unwrap_or(RunState::Offline),
                entry: (*xen).runstate_entry_time,
                spent: (*xen).runstate_times,
                waited: (*xen).last_steal,
            }
        }
    }

    #[inline(always)]
    fn store(&self, times: &Times, _preempt: &preempt::Guard) {
        let xen = self.xen();
        // SAFETY: As above.
        unsafe {
            (*xen).current_runstate = times.state as u32;
            (*xen).runstate_entry_time = times.entry;
            (*xen).runstate_times = times.spent;
            (*xen).last_steal = times.waited;
        }
    }
}
