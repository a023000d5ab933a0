// SPDX-License-Identifier: GPL-2.0

//! All caches of a VM, and what the kernel reads and writes by way of them.

use super::{cache::Gpc, memory::Memory, mm::Users};
use crate::{
    atomic::{
        self, lock as lock_checked,
        plain::{lock, AtomicBool, Mutex},
        Arc,
        Ordering::SeqCst,
        Tracked,
    },
    kvm::{
        memory::{Counter, Vm},
        types::{Gfn, Pfn},
    },
    world::breaks::Hook,
};
use std::collections::BTreeMap;

/// The caches of one VM.
#[derive(Default)]
pub struct Caches {
    /// `gpc_lock`, and those that are in use.
    pub(super) list: atomic::Mutex<Vec<Arc<Gpc>>>,
    /// What is in their pages.
    pub memory: Memory,
    /// Frames of which a model checker watches each access.
    tracked: Mutex<BTreeMap<u64, Arc<Tracked>>>,
    /// How many pages are mapped.
    pub mapped: Counter,
    /// How many times one was.
    pub maps: Counter,
    /// How many times a page was looked up.
    pub look_ups: Counter,
    /// How many times a task waited for the host.
    pub waits: Counter,
    /// References to pages.
    pub references: Counter,
    /// What happens whenever a page was looked up.
    pub found: Hook,
    killed: AtomicBool,
    pub(super) foreign: AtomicBool,
    pub(super) users: Users,
}

impl Caches {
    /// Whoever waits is killed, from now on or no longer.
    pub fn kill_tasks(&self, kill: bool) {
        self.killed.store(kill, SeqCst);
    }

    pub(in crate::kvm) fn is_task_killed(&self) -> bool {
        self.killed.load(SeqCst)
    }

    /// Tasks have another address space than the VM, from now on or no longer.
    pub fn use_foreign_tasks(&self, foreign: bool) {
        self.foreign.store(foreign, SeqCst);
    }

    /// A model checker is to watch each access to `pfn`.
    pub fn track(&self, pfn: Pfn) {
        lock(&self.tracked).insert(pfn.raw(), Arc::default());
    }

    /// The host uses `pfn` for something else.
    pub fn reuse(&self, pfn: Pfn) {
        if let Some(tracked) = lock(&self.tracked).get(&pfn.raw()) {
            tracked.write();
        }
    }
}

impl Vm {
    /// Calls `visit` for each cache that is in use, under `gpc_lock`.
    pub(in crate::kvm::gpc) fn for_each_cache(&self, visit: impl Fn(&Gpc)) {
        let list = lock_checked(&self.caches.list);
        list.iter().for_each(|cache| visit(cache));
    }

    /// The kernel accesses `pfn` by a mapping for the host's `frame`.
    pub(super) fn access(&self, frame: Gfn, pfn: Pfn) {
        let held = self.primary.holds(frame, pfn);
        assert!(held, "late use: {frame:?} is no longer {pfn:?}");
        if let Some(tracked) = lock(&self.caches.tracked).get(&pfn.raw()) {
            tracked.read();
        }
    }

    /// Nothing is left of its caches.
    pub fn check_caches(&self) {
        assert!(
            lock_checked(&self.caches.list).is_empty(),
            "a cache is left"
        );
        assert_eq!(self.caches.mapped.get(), 0, "pages are still mapped");
        assert_eq!(
            self.caches.references.get(),
            0,
            "references to pages are left"
        );
    }
}
