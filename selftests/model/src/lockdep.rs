// SPDX-License-Identifier: GPL-2.0

//! What the current thread holds, and which order is right.
//!
//! `mmu_lock`, then RCU, then the pages lock. Nothing that sleeps under any of them.

use crate::atomic::thread_local;
use std::cell::Cell;

/// What can be held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// `mmu_lock`, for read or write.
    pub mmu: bool,
    /// Number of RCU read-side sections.
    pub rcu: u32,
    /// The pages lock.
    pub pages: bool,
    /// Number of reasons for which it cannot be preempted.
    pub preempt: u32,
}

/// A part of a notifier that must not wait for anybody (`non_block_start()`), until it is dropped.
#[must_use = "the part is over at once"]
pub struct NonBlock(());

/// It begins. Locks may be taken.
pub fn non_block() -> NonBlock {
    NON_BLOCK.with(|cell| cell.set(true));
    NonBlock(())
}

impl Drop for NonBlock {
    fn drop(&mut self) {
        NON_BLOCK.with(|cell| cell.set(false));
    }
}

thread_local! {
    static HELD: Cell<Held> = Cell::new(Held::default());
    static NON_BLOCK: Cell<bool> = Cell::new(false);
}

/// What the current thread holds.
pub fn held() -> Held {
    HELD.with(Cell::get)
}

fn change(f: impl FnOnce(&mut Held)) {
    HELD.with(|cell| {
        let mut held = cell.get();
        f(&mut held);
        cell.set(held);
    });
}

/// Panics unless the thread may sleep.
pub fn might_sleep(what: &str) {
    let held = held();
    assert_eq!(held, Held::default(), "{what} may sleep, under {held:?}");
}

/// Panics unless the thread may let others go first.
pub(crate) fn might_give_way() {
    let non_block = NON_BLOCK.with(Cell::get);
    assert!(!non_block, "gives way in a notifier that must not");
}

pub(crate) fn acquire_mmu() {
    might_sleep("taking mmu_lock");
    change(|held| held.mmu = true);
}

pub(crate) fn release_mmu() {
    let held = held();
    // A failing test unwinds in whatever order.
    if !std::thread::panicking() {
        assert!(held.mmu && held.rcu == 0, "mmu_lock dropped under {held:?}");
    }
    change(|held| held.mmu = false);
}

pub(crate) fn acquire_rcu() {
    change(|held| held.rcu += 1);
}

pub(crate) fn release_rcu() {
    change(|held| held.rcu -= 1);
}

pub(crate) fn preempt_disable() {
    change(|held| held.preempt += 1);
}

pub(crate) fn preempt_enable() {
    change(|held| held.preempt -= 1);
}

pub(crate) fn acquire_pages() {
    assert!(!held().pages, "the pages lock is held already");
    change(|held| held.pages = true);
}

pub(crate) fn release_pages() {
    change(|held| held.pages = false);
}
