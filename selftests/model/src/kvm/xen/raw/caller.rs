// SPDX-License-Identifier: GPL-2.0

//! A vCPU whose guest has called.

use crate::{
    atomic::{
        plain::{lock, AtomicBool, AtomicU32, Mutex},
        Ordering::SeqCst,
    },
    kvm::{
        memory::Counter,
        xen::{Assigned, Event, Runner, Target},
        SlotsHeld,
    },
    lockdep,
};
use std::collections::BTreeMap;

/// A vCPU, and what it has in its virtual memory. Its own id is 0.
pub struct Caller<'a> {
    runner: &'a Runner,
    slots: SlotsHeld<'a>,
    memory: Vec<(u64, Vec<u8>)>,
    sleeps: Mutex<Vec<Option<u64>>>,
    /// What its ports lead to.
    pub ports: BTreeMap<u32, Assigned>,
    /// Whether KVM polls for it.
    pub polls: AtomicBool,
    /// The version of Xen.
    pub version: AtomicU32,
    /// How many times it has let others go first.
    pub gave_way: Counter,
}

impl<'a> Caller<'a> {
    /// One with these bytes at these addresses, and nothing elsewhere.
    pub fn new(runner: &'a Runner, memory: Vec<(u64, Vec<u8>)>) -> Self {
        Self {
            runner,
            slots: SlotsHeld::new(runner.vm()),
            memory,
            sleeps: Mutex::new(Vec::new()),
            ports: BTreeMap::new(),
            polls: AtomicBool::new(true),
            version: AtomicU32::new(0),
            gave_way: Counter::default(),
        }
    }

    /// Its hold of the slots.
    pub fn slots(&mut self) -> &mut SlotsHeld<'a> {
        &mut self.slots
    }

    /// The vCPU.
    pub fn target(&self) -> &'a Target {
        self.runner.target()
    }

    /// As its task has it.
    pub fn runner(&self) -> &'a Runner {
        self.runner
    }

    /// The vCPU that `event` goes to.
    pub fn target_of(&self, event: &Event) -> Option<&'a Target> {
        (event.vcpu() == 0).then(|| self.target())
    }

    /// The version of Xen.
    pub fn xen_version(&self) -> u32 {
        self.version.load(SeqCst)
    }

    /// What Xen calls it.
    pub fn xen_id(&self) -> Option<u32> {
        self.runner.xen_id()
    }

    /// Whether KVM polls for it.
    pub fn may_poll(&self) -> bool {
        self.polls.load(SeqCst)
    }

    /// What a port leads to.
    pub fn assigned(&self, number: u32) -> Option<&Assigned> {
        self.ports.get(&number)
    }

    /// Reads virtual memory.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Option<()> {
        if bytes.is_empty() {
            return Some(());
        }
        let found = self.memory.iter().find_map(|(start, there)| {
            let at = address.checked_sub(*start)? as usize;
            there.get(at..)?.get(..bytes.len())
        });
        bytes.copy_from_slice(found?);
        Some(())
    }

    /// Lets others go first.
    pub fn give_way(&self) {
        self.gave_way.add(1);
    }

    /// Sleeps.
    pub fn sleep(&mut self, timeout: Option<u64>) {
        lockdep::might_sleep("a poll");
        lock(&self.sleeps).push(timeout);
    }

    /// For how long it has slept, each time.
    pub fn take_sleeps(&self) -> Vec<Option<u64>> {
        std::mem::take(&mut lock(&self.sleeps))
    }
}
