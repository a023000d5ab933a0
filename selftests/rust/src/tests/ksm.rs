// SPDX-License-Identifier: GPL-2.0

//! The host merges pages of equal content, and gives each guest page its own again.

use super::{alone_and_beside_other_slot, long, notifier::Advancing};
use crate::clock::wait_for;
use crate::harness::Test;
use anyhow::{ensure, Result};
use kvmtest::guest::{self, Pattern, Program};
use kvmtest::idle::frames;
use kvmtest::inside::Run;
use kvmtest::memory::{Backing, Memory, KIB, PAGE_4K};
use kvmtest::sysfs::Setting;
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Slot, Vm, BASE};
use std::collections::BTreeSet;
use std::ops::Range;

pub const TESTS: &[Test] = &[
    long("ksm_merge_and_unmerge", merge_and_unmerge),
    long("ksm_unmerge_running", unmerge_running),
];

const SIZE: u64 = 512 * KIB;
const ALL: Range<u64> = 0..SIZE;
const SAME: Pattern = Pattern::Same;
const RUN: &str = "/sys/kernel/mm/ksm/run";

/// The kernel looks for equal pages for as long as the result lives.
fn merging() -> Result<Vec<Setting>> {
    Setting::all(&[
        ("/sys/kernel/mm/ksm/sleep_millisecs", "1"),
        ("/sys/kernel/mm/ksm/pages_to_scan", "1000"),
        (RUN, "1"),
    ])
}

/// How many pages of the host's the range has, if none is absent.
fn different(memory: &Memory, range: &Range<u64>) -> Result<usize> {
    let frames = frames(memory, range, PAGE_4K)?.into_iter();
    let frames: Option<BTreeSet<u64>> = frames.collect();
    Ok(frames.map_or(0, |frames| frames.len()))
}

/// Has the pages of a range merged into one.
fn merge(memory: &Memory, range: &Range<u64>) -> Result<()> {
    memory.advise(range.clone(), libc::MADV_MERGEABLE)?;
    let _merging = merging()?;
    wait_for("the host merges pages", || {
        Ok(different(memory, range)? == 1)
    })
}

/// Undoes it.
fn unmerge(memory: &Memory, range: &Range<u64>) -> Result<()> {
    memory.advise(range.clone(), libc::MADV_UNMERGEABLE)?;
    let (found, pages) = (
        different(memory, range)?,
        (range.end - range.start) / PAGE_4K,
    );
    ensure!(found as u64 == pages, "{found} pages for {pages}");
    Ok(())
}

/// The guest reads merged pages and cannot write to them. Of what the host writes to pages that are its
/// own again, the guest reads each word.
fn merge_and_unmerge(backend: &str) -> Result<()> {
    let memory = Memory::new(SIZE, Backing::Small)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    let range = Slot::of(&memory).range();
    let pass = |program, round| guest::pass(program, &range, PAGE_4K, SAME, round);
    alone_and_beside_other_slot(&vm, || {
        vcpu.run(&pass(Program::Fill, 1))?;
        (1..=3).try_for_each(|round| {
            merge(&memory, &ALL)?;
            vcpu.run(&pass(Program::Check, round))?;
            unmerge(&memory, &ALL)?;
            let places = ALL.step_by(PAGE_4K as usize);
            places.for_each(|place| memory.store(place, round + 1));
            vcpu.run(&pass(Program::Check, round + 1)).map(drop)
        })
    })?;
    merge(&memory, &ALL)?;
    vcpu.run(&pass(Program::Check, 4))?;
    none_writable(&vm)?;
    own_again(&vm, &mut vcpu, &memory)
}

/// No entry lets the guest write to the memory.
fn none_writable(vm: &Vm) -> Result<()> {
    let frames = BASE / PAGE_4K..(BASE + SIZE) / PAGE_4K;
    let map = vm.inside.map()?;
    let runs = map.iter().filter_map(|line| Run::of(line));
    let mine = runs.filter(|run| frames.contains(&run.frames.start));
    let writable: Vec<String> = mine
        .filter(Run::is_writable)
        .map(|run| run.to_string())
        .collect();
    ensure!(writable.is_empty(), "merged and writable: {writable:?}");
    Ok(())
}

/// A guest that writes to merged pages gets pages of its own, and others keep what they have.
fn own_again(vm: &Vm, vcpu: &mut Vcpu, memory: &Memory) -> Result<()> {
    let half = BASE..BASE + SIZE / 2;
    let fill = guest::pass(Program::Fill, &half, PAGE_4K, SAME, 9);
    vcpu.run(&fill)?;
    for (place, round) in [(0, 9), (SIZE / 2 - PAGE_4K, 9), (SIZE / 2, 4)] {
        let found = memory.load(place);
        ensure!(found == round, "{found} instead of {round} at {place:#x}");
    }
    let rest = BASE + SIZE / 2..BASE + SIZE;
    let check = guest::pass(Program::Check, &rest, PAGE_4K, SAME, 4);
    vm.vcpu(1)?.run(&check).map(drop)
}

/// Pages are merged and become their own again while guests write: to the other half, and to this one.
fn unmerge_running(backend: &str) -> Result<()> {
    let mut guests = Advancing::new(backend, SIZE, Backing::Small, SAME)?;
    let halves = [0..SIZE / 2, SIZE / 2..SIZE];
    for quiet in [0, 1, 0] {
        guests.during(&[1 - quiet], |memory| merge(memory, &halves[quiet]))?;
        guests.during(&[0, 1], |memory| unmerge(memory, &halves[quiet]))?;
    }
    guests.finish()
}
