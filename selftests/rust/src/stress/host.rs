// SPDX-License-Identifier: GPL-2.0

//! What the host does to memory of its own, as far as it is not [`Memory`]'s own business.

use crate::memory::{Backing, Memory, PAGE_4K};
use anyhow::{ensure, Context, Result};
use std::fs::{File, OpenOptions};
use std::io::Error;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::thread::sleep;
use std::time::Duration;

const MPOL_DEFAULT: u64 = 0;
const MPOL_BIND: u64 = 2;
const MPOL_MF_MOVE: u64 = 2;

const IDLE: &str = "/sys/kernel/mm/page_idle/bitmap";
const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;
/// Guests, with less priority, use a page or another by then.
const GUESTS_TURN: Duration = Duration::from_millis(10);

/// Allows all access to `range`, or none.
pub fn protect(memory: &Memory, range: &Range<u64>, access: bool) -> Result<()> {
    let rights = if access {
        libc::PROT_READ | libc::PROT_WRITE
    } else {
        libc::PROT_NONE
    };
    let (start, length) = place(memory, range);
    // SAFETY: the range is in a mapping of ours. The caller keeps this process from using it; a
    // guest's KVM_RUN fails.
    let failed = unsafe { libc::mprotect(start, length, rights) };
    ensure!(failed == 0, "mprotect: {}", Error::last_os_error());
    Ok(())
}

/// Moves the pages of `range` to another address and back, while nobody has access to the range.
/// Where the kernel does not move them, because they are in several mappings, they stay.
pub fn move_and_back(memory: &Memory, range: &Range<u64>) -> Result<bool> {
    protect(memory, range, false)?;
    let moved = there_and_back(memory, range);
    protect(memory, range, true)?;
    moved
}

fn there_and_back(memory: &Memory, range: &Range<u64>) -> Result<bool> {
    let away = Memory::new(range.end - range.start, Backing::Small)?;
    let (here, length) = place(memory, range);
    let there = away.address() as *mut libc::c_void;
    // No hole is left behind, into which another thread could map something.
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP;
    // SAFETY: both ranges are mappings of ours, of the same length, that nobody uses.
    let gone = unsafe { libc::mremap(here, length, length, flags, there) };
    if gone == libc::MAP_FAILED {
        return Ok(false);
    }
    // SAFETY: as above.
    let back = unsafe { libc::mremap(there, length, length, flags, here) };
    ensure!(back == here, "mremap: {}", Error::last_os_error());
    Ok(true)
}

/// Moves the pages of `range` to a node, and lets them go where they like again.
pub fn move_to_node(memory: &Memory, range: &Range<u64>, node: u64) -> Result<()> {
    let nodes: u64 = 1 << node;
    mbind(memory, range, MPOL_BIND, Some(&nodes), MPOL_MF_MOVE)
        .context("moving pages to a node (boot with numa=fake=2)")?;
    mbind(memory, range, MPOL_DEFAULT, None, 0)
}

fn mbind(
    memory: &Memory,
    range: &Range<u64>,
    mode: u64,
    nodes: Option<&u64>,
    flags: u64,
) -> Result<()> {
    let (start, length) = place(memory, range);
    let nodes = nodes.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the range is a mapping of ours, whose content stays, and `nodes` is null or has 64 bits,
    // of which the kernel reads one less than the number given.
    let failed = unsafe { libc::syscall(libc::SYS_mbind, start, length, mode, nodes, 64, flags) };
    ensure!(failed == 0, "mbind: {}", Error::last_os_error());
    Ok(())
}

/// Marks the pages of `range` that are there as idle: everybody who maps them, KVM among them,
/// makes them old. Soon after that, says how many are still there and not idle any more.
pub fn idle_pages_used(memory: &Memory, range: &Range<u64>) -> Result<u64> {
    let idle = OpenOptions::new().read(true).write(true).open(IDLE);
    let idle = idle.with_context(|| format!("opening {IDLE}"))?;
    let before = frames(memory, range)?;
    for frame in before.iter().flatten() {
        let bit: u64 = 1 << (frame % 64);
        idle.write_all_at(&bit.to_le_bytes(), frame / 64 * 8)
            .context("marking a page idle")?;
    }
    sleep(GUESTS_TURN);
    let mut used = 0;
    for (before, now) in before.iter().zip(frames(memory, range)?) {
        if let (true, Some(frame)) = (*before == now, now) {
            let mut bits = [0; 8];
            idle.read_exact_at(&mut bits, frame / 64 * 8)
                .context("asking for idle pages")?;
            used += u64::from(u64::from_le_bytes(bits) >> (frame % 64) & 1 == 0);
        }
    }
    Ok(used)
}

/// The frame of each page of `range`, if it has one.
fn frames(memory: &Memory, range: &Range<u64>) -> Result<Vec<Option<u64>>> {
    let pagemap = File::open("/proc/self/pagemap").context("opening the page map")?;
    let frame = |offset| {
        let mut entry = [0; 8];
        pagemap.read_exact_at(&mut entry, (memory.address() + offset) / PAGE_4K * 8)?;
        let entry = u64::from_le_bytes(entry);
        Ok((entry & PRESENT != 0).then_some(entry & FRAME))
    };
    let offsets = range.clone().step_by(PAGE_4K as usize);
    offsets.map(frame).collect()
}

fn place(memory: &Memory, range: &Range<u64>) -> (*mut libc::c_void, usize) {
    assert!(range.start < range.end && range.end <= memory.size());
    let start = memory.address() + range.start;
    (
        start as *mut libc::c_void,
        (range.end - range.start) as usize,
    )
}
