// SPDX-License-Identifier: GPL-2.0

//! What the harvest of a dirty log costs, by how large the slot is, and how many of its pages are dirty.

use crate::sample::{Kind, Samples};
use crate::scenarios::are_dirty;
use crate::vm::Vm;
use anyhow::Result;
use kvmtest::memory::{Backing, Memory, MIB, PAGE_4K};

/// The smallest slot. Others are so many times as large.
const SMALLEST: u64 = 64 * MIB;
const SCALES: [u64; 3] = [1, 8, 64];
/// Which pages are dirty: all, one in so many, and the first. And how often that is harvested. What a harvest has not made
/// clean is in no later log.
const DIRTY: [(&str, u64, u32); 4] = [
    ("all", 1, 1),
    ("1 in 10", 10, 3),
    ("1 in 1000", 1000, 3),
    ("one page", u64::MAX, 3),
];

/// Reports each harvest on each backend.
pub fn report(backends: &[&str]) -> Result<()> {
    for scale in SCALES {
        let memory = Memory::new(SMALLEST * scale, Backing::Small)?;
        for backend in backends {
            let mut samples = Samples::new("logs", backend, scale, 1);
            taken(&mut samples, &memory)?;
            cleared(&mut samples, &memory)?;
        }
    }
    Ok(())
}

/// Logs that KVM clears when userspace gets them.
fn taken(samples: &mut Samples, memory: &Memory) -> Result<()> {
    let mut vm = Vm::new(samples.backend, memory)?;
    vm.populate()?;
    vm.log(true)?;
    let window = vm.window()?;
    are_dirty(&vm.get_log()?, 0)?;
    each_part(memory, |part, one_in| {
        let dirty = vm.write_beyond(&window, one_in)?;
        let log = samples.time("get", part, Kind::Work, dirty, || vm.get_log())?;
        are_dirty(&log, dirty)?;
        are_dirty(&vm.get_log()?, 0)
    })
}

/// Logs that userspace clears, in one call.
fn cleared(samples: &mut Samples, memory: &Memory) -> Result<()> {
    let mut vm = Vm::new(samples.backend, memory)?;
    vm.start_logs_set()?;
    vm.populate()?;
    vm.log(true)?;
    vm.clear_log(&mut vm.get_log()?)?;
    let window = vm.window()?;
    each_part(memory, |part, one_in| {
        let dirty = vm.write_beyond(&window, one_in)?;
        let mut log = vm.get_log()?;
        are_dirty(&log, dirty)?;
        samples.time("clear", part, Kind::Work, dirty, || vm.clear_log(&mut log))?;
        are_dirty(&vm.get_log()?, 0)
    })
}

fn each_part(memory: &Memory, mut harvest: impl FnMut(&str, u64) -> Result<()>) -> Result<()> {
    for (part, one_in, rounds) in DIRTY {
        for _ in 0..rounds {
            harvest(part, one_in.min(memory.pages(PAGE_4K)))?;
        }
    }
    Ok(())
}
