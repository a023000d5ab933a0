// SPDX-License-Identifier: GPL-2.0

//! A vCPU whose guest has called.

use super::{Layout, Target};
use crate::{
    atomic::plain::{lock, Mutex},
    kvm::{gpc::Gpc, SlotsHeld},
    lockdep,
};

/// A vCPU, and what it has in its virtual memory.
pub struct Caller<'a> {
    target: &'a Target,
    shared: &'a Gpc,
    layout: Layout,
    memory: Vec<(u64, Vec<u8>)>,
    sleeps: Mutex<Vec<Option<u64>>>,
}

impl<'a> Caller<'a> {
    /// One of a VM of that layout, with these bytes at these addresses and nothing elsewhere.
    pub fn new(
        target: &'a Target,
        shared: &'a Gpc,
        layout: Layout,
        memory: Vec<(u64, Vec<u8>)>,
    ) -> Self {
        Self {
            target,
            shared,
            layout,
            memory,
            sleeps: Mutex::new(Vec::new()),
        }
    }

    /// The vCPU.
    pub fn target(&self) -> &'a Target {
        self.target
    }

    /// The layout of the shared pages.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The cache of `shared_info`.
    pub fn shared_info(&self) -> &'a Gpc {
        self.shared
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

    /// Sleeps.
    pub fn sleep(&self, _slots: &mut SlotsHeld<'_>, timeout: Option<u64>) {
        lockdep::might_sleep("a poll");
        lock(&self.sleeps).push(timeout);
    }

    /// For how long it has slept, each time.
    pub fn take_sleeps(&self) -> Vec<Option<u64>> {
        std::mem::take(&mut lock(&self.sleeps))
    }
}
