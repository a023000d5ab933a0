// SPDX-License-Identifier: GPL-2.0

//! One machine: its CPU's format of entries, kvm.ko's variables, its page-table memory.
//!
//! Each test has a machine of its own, which its threads [enter](Machine::enter). Code that runs
//! in the kernel without an argument to tell the machine finds it there.

pub mod arena;
mod ept;
mod npt;

pub use ept::{ept, ept_without_ad};
pub use npt::{npt, npt_encrypted};

use crate::{
    atomic::{plain::AtomicU64, Arc, Ordering},
    sync::rcu,
};
use arena::Arena;
use std::cell::{Cell, RefCell};

/// What kvm.ko's `shadow_*` variables hold, and what goes with them.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // Named as in rust/kvm/spte/masks.rs.
pub struct Masks {
    pub present: u64,
    pub accessed: u64,
    pub dirty: u64,
    pub host_writable: u64,
    pub mmu_writable: u64,
    pub nx: u64,
    pub user: u64,
    pub exec: u64,
    pub user_exec: u64,
    pub acc_track: u64,
    pub me_value: u64,
    pub mmio: u64,
    pub mmio_value: u64,
    pub mmio_access: u64,
    pub nonpresent_or_rsvd: u64,
    pub ad_enabled: bool,
    pub mmio_caching: bool,
    pub base_addr: u64,
}

/// Physical address bits of all machines: more than a root of four levels translates.
pub const MAXPHYADDR: u32 = 50;

/// The bits from `low` up to and including `high`.
pub const fn bits(low: u32, high: u32) -> u64 {
    (u64::MAX >> (63 - high)) & (u64::MAX << low)
}

/// All formats, by name.
pub fn formats() -> [(&'static str, Masks); 4] {
    [
        ("npt", npt()),
        ("npt with encryption", npt_encrypted()),
        ("ept", ept()),
        ("ept without A/D", ept_without_ad()),
    ]
}

/// A machine.
pub struct Machine {
    /// The format of entries.
    pub masks: Masks,
    /// The memory of page tables.
    pub arena: Arena,
    /// Its RCU.
    pub rcu: rcu::Domain,
    /// Number of allocations that work before all fail.
    allocations: AtomicU64,
    /// Number of threads that entered it.
    threads: AtomicU64,
}

thread_local! {
    static MACHINE: RefCell<Option<Arc<Machine>>> = const { RefCell::new(None) };
    static MASKS: Cell<Option<Masks>> = const { Cell::new(None) };
}

impl Machine {
    /// Boots a machine.
    pub fn new(masks: Masks) -> Arc<Self> {
        Arc::new(Self {
            masks,
            arena: Arena::new(),
            rcu: rcu::Domain::default(),
            allocations: AtomicU64::new(u64::MAX),
            threads: AtomicU64::new(0),
        })
    }

    /// Makes it the current thread's machine.
    pub fn enter(self: &Arc<Self>) {
        self.threads.fetch_add(1, Ordering::Relaxed);
        MASKS.set(Some(self.masks));
        MACHINE.with(|machine| *machine.borrow_mut() = Some(self.clone()));
    }

    /// The current thread's machine.
    pub fn current() -> Arc<Self> {
        MACHINE.with(|machine| machine.borrow().clone().expect("thread without a machine"))
    }

    /// Whether there was ever another thread, which one that does not get on could wait for.
    pub(crate) fn is_shared(&self) -> bool {
        self.threads.load(Ordering::Relaxed) > 1
    }

    /// Lets all allocations that may fail do so after `count` more.
    pub fn fail_allocations_after(&self, count: u64) {
        self.allocations.store(count, Ordering::Relaxed);
    }

    /// Whether the next allocation works.
    pub(crate) fn may_allocate(&self) -> bool {
        self.allocations
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_ok()
    }
}

pub(crate) fn masks() -> Masks {
    MASKS.get().expect("thread without a machine")
}
