// SPDX-License-Identifier: GPL-2.0

//! What the host does to memory in several steps.

use anyhow::Result;
use kvmtest::idle::{frames, IdleSet};
use kvmtest::memory::{Memory, Rights, PAGE_4K};
use std::ops::Range;
use std::thread::sleep;
use std::time::Duration;

/// Guests, with less priority, use a page or another by then.
const GUESTS_TURN: Duration = Duration::from_millis(10);

/// Moves the pages of `range` to another address and back, while nobody has access to the range:
/// the caller keeps this process from using it, and a guest's KVM_RUN fails.
pub fn move_and_back(memory: &Memory, range: &Range<u64>) -> Result<bool> {
    memory.protect(range.clone(), Rights::None)?;
    let moved = memory.move_and_back(range.clone());
    memory.protect(range.clone(), Rights::All)?;
    moved
}

/// Marks the pages of `range` that are there as idle: everybody who maps them, KVM among them,
/// makes them old. Soon after that, says how many are still there and not idle any more.
pub fn idle_pages_used(memory: &Memory, range: &Range<u64>) -> Result<u64> {
    let before = frames(memory, range, PAGE_4K)?;
    let idle = IdleSet::of_frames(before.iter().flatten().copied().collect())?;
    idle.mark()?;
    sleep(GUESTS_TURN);
    let now = frames(memory, range, PAGE_4K)?;
    let pages = before
        .iter()
        .zip(&now)
        .filter(|(before, _)| before.is_some());
    let stayed = pages.map(|(before, now)| before == now);
    let used = stayed
        .zip(idle.idle()?)
        .filter(|(stayed, idle)| *stayed && !idle);
    Ok(used.count() as u64)
}
