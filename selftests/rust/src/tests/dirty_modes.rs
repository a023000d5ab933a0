// SPDX-License-Identifier: GPL-2.0

//! The log does not depend on how it is kept: by write protection or by dirty bits, taken at once or
//! cleared by hand, with huge pages that are split early, late or not at all.
//!
//! Protection or dirty bits is the machine's choice. The history here and its outcome are the same
//! everywhere, so that machines on which this passes agree with each other.

use super::test;
use crate::harness::Test;
use crate::log;
use anyhow::{ensure, Context, Result};
use kvm_bindings::KVM_MEM_LOG_DIRTY_PAGES as LOG;
use kvmtest::guest;
use kvmtest::memory::{Backing, Memory, MIB, PAGE_2M, PAGE_4K};
use kvmtest::vm::{eager_split, Slot, Vm, BASE, LOG_CLEARED_BY_GET, LOG_INITIALLY_SET, LOG_MANUAL};

pub const TESTS: &[Test] = &[
    test("dirty_log_modes_agree", agree),
    test("dirty_log_cost", cost),
];

const SIZE: u64 = 8 * MIB;
const PAGES: u64 = SIZE / PAGE_4K;
const WRITES: u32 = 200;
const ROUNDS: u32 = 6;
const MODES: [u64; 3] = [LOG_CLEARED_BY_GET, LOG_MANUAL, LOG_INITIALLY_SET];

/// One history, in each mode: the logs of each round.
fn agree(backend: &str) -> Result<()> {
    for (backing, split) in log::BACKINGS {
        let _split = eager_split(split)?;
        for mode in MODES {
            let context = || format!("{backing:?}, eager split {split}, manual protect {mode}");
            history(backend, backing, mode).with_context(context)?;
        }
    }
    Ok(())
}

/// Some pages are written, all are read; later the host takes 2M away, before and after writes.
fn history(backend: &str, backing: Backing, mode: u64) -> Result<()> {
    let memory = Memory::new(SIZE, backing)?;
    let slot = Slot::of(&memory);
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    vm.set_log_mode(mode)?;
    vcpu.fill(&slot.range(), 1)?;
    vm.set(&slot, LOG)?;
    let at_first = if mode == LOG_INITIALLY_SET { PAGES } else { 0 };
    log::is_exactly(&log::take(&vm, &slot, mode)?, &log::of(PAGES, 0..at_first))?;
    for round in 0..ROUNDS {
        let lost = u64::from(round) * PAGE_2M % SIZE;
        match round {
            0 | 1 => vcpu.check(&slot.range(), 1)?,
            _ if round % 2 == 0 => memory.discard(lost..lost + PAGE_2M)?,
            _ => {}
        }
        vcpu.scatter(BASE, PAGES, 8, round, WRITES)?;
        if round == 3 {
            memory.discard(lost..lost + PAGE_2M)?;
        }
        let wrote = guest::scattered(PAGES, round).take(WRITES as usize);
        let taken = log::take(&vm, &slot, mode)?;
        log::is_exactly(&taken, &log::of(PAGES, wrote))
            .with_context(|| format!("round {round}"))?;
    }
    Ok(())
}

/// A write to a clean page is a fault where KVM logs by write protection, and none where the
/// processor logs. Reads, and further writes, never are.
fn cost(backend: &str) -> Result<()> {
    let memory = Memory::new(SIZE, Backing::Small)?;
    let slot = Slot::of(&memory);
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    let by_processor = log::is_kept_by_processor()?;
    let per_page = u64::from(!by_processor);
    vcpu.fill(&slot.range(), 1)?;
    vm.set(&slot, LOG)?;
    for round in 2..5 {
        let faults = [
            vcpu.faults_of(|vcpu| vcpu.check(&slot.range(), round - 1))?,
            vcpu.faults_of(|vcpu| vcpu.fill(&slot.range(), round))?,
            vcpu.faults_of(|vcpu| vcpu.fill(&slot.range(), round))?,
        ];
        ensure!(
            faults == [0, per_page * PAGES, 0],
            "{faults:?} faults for reads, writes, more writes of {PAGES} pages (PML: {by_processor})"
        );
        log::is_exactly(&vm.get_log(&slot)?, &log::of(PAGES, 0..PAGES))?;
    }
    Ok(())
}
