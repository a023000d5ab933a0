// SPDX-License-Identifier: GPL-2.0

//! Userfaultfd: a guest waits for a page until this process says what is in it, or that it may be
//! written to.
//!
//! The vCPU waits inside its page fault. So slots that change meanwhile wait for it, and everything that
//! they drop is faulted in again, but nobody is asked again for a page that is there.

use super::{alone_and_beside_other_slot, long};
use crate::clock::{repeat, wait_for};
use crate::harness::Test;
use anyhow::{ensure, Result};
use kvmtest::beside::beside;
use kvmtest::guest::{self, Pattern, Program};
use kvmtest::memory::{Backing, Memory, MIB, PAGE_2M, PAGE_4K};
use kvmtest::userfault::{Kind, Userfault};
use kvmtest::vm::{Slot, Vm, BASE};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::Mutex;
use std::thread::{sleep, yield_now};
use std::time::Duration;

pub const TESTS: &[Test] = &[
    long("userfault_missing", missing),
    long("userfault_taken", taken),
    long("userfault_minor", minor),
    long("userfault_protect", protect),
];

const SIZE: u64 = MIB;
const ALL: Range<u64> = 0..SIZE;
const GUEST: Range<u64> = BASE..BASE + SIZE;
const DISTINCT: Pattern = Pattern::Distinct;

/// Runs `host`, and has another thread answer for each page that somebody waits for. The result has
/// the places of these pages, too.
pub(super) fn answered<T>(
    faults: &Userfault<'_>,
    answer: impl Fn(u64) -> Result<()> + Sync,
    host: impl FnOnce(&Mutex<Vec<u64>>) -> Result<T>,
) -> Result<T> {
    let asked = Mutex::new(Vec::new());
    let next = || {
        let Some(place) = faults.next()? else {
            yield_now();
            return Ok(());
        };
        asked.lock().expect("nobody panics with it").push(place);
        answer(place)
    };
    beside(1, next, || host(&asked))
}

/// The places that were asked about since the last time.
fn take_all(asked: &Mutex<Vec<u64>>) -> Vec<u64> {
    std::mem::take(&mut asked.lock().expect("nobody panics with it"))
}

/// Each page of a range was asked for once.
pub(super) fn once_each(asked: &Mutex<Vec<u64>>, range: Range<u64>) -> Result<()> {
    let mut places = take_all(asked);
    places.sort_unstable();
    let wanted: Vec<u64> = range.step_by(PAGE_4K as usize).collect();
    ensure!(places == wanted, "asked for {places:x?}, not {wanted:x?}");
    Ok(())
}

/// Pages are made when the guest reads them. Those that are taken away are made again, others are not.
fn missing(backend: &str) -> Result<()> {
    let memory = Memory::untouched(SIZE)?;
    let faults = Userfault::of(&memory, Kind::Missing)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    let round = AtomicU32::new(1);
    let make = |place| faults.give(place, DISTINCT.word(BASE + place, round.load(SeqCst)));
    let mut read = |asked: &Mutex<Vec<u64>>| {
        round.store(1, SeqCst);
        memory.discard(ALL)?;
        vcpu.check(&GUEST, 1)?;
        once_each(asked, ALL)?;
        repeat(500, 4, |number| {
            round.store(number, SeqCst);
            memory.discard(ALL)?;
            vcpu.check(&(BASE..BASE + SIZE / 2), number)?;
            once_each(asked, 0..SIZE / 2)?;
            vcpu.fill(&(BASE..BASE + SIZE / 2), number + 1)?;
            round.store(number + 1, SeqCst);
            vcpu.check(&GUEST, number + 1)?;
            once_each(asked, SIZE / 2..SIZE)
        })
    };
    alone_and_beside_other_slot(&vm, || answered(&faults, make, &mut read))
}

/// Pages are taken while the guest copies words in them, and made again with another word.
fn taken(backend: &str) -> Result<()> {
    let memory = Memory::untouched(SIZE)?;
    let faults = Userfault::of(&memory, Kind::Missing)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    let token = AtomicU32::new(1);
    let make = |place| faults.give(place, token.load(SeqCst));
    let take = |place: u64, number| {
        token.store(number, SeqCst);
        memory.discard(place..place + PAGE_4K)?;
        wait_for("the guest uses the new page", || {
            Ok(memory.load(place + 4) == number)
        })
    };
    let echo = guest::pass(Program::Echo, &GUEST, PAGE_4K, Pattern::Same, 0);
    let mut run = |_: &Mutex<Vec<u64>>| {
        // From now on, nobody waits for a page but for the last that was taken.
        vcpu.fill(&GUEST, 1)?;
        vm.during(&mut [(&mut vcpu, echo)], || {
            repeat(1000, 20, |number| {
                take(u64::from(number) * PAGE_4K % SIZE, number)
            })
        })
    };
    alone_and_beside_other_slot(&vm, || answered(&faults, make, &mut run)).map(drop)
}

/// The guest gets pages of a file when this process has written to them elsewhere.
fn minor(backend: &str) -> Result<()> {
    let [memory, window] = Memory::twice(SIZE)?;
    window.advise(ALL, libc::MADV_POPULATE_WRITE)?;
    let faults = Userfault::of(&memory, Kind::Minor)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    let round = AtomicU32::new(0);
    let finish = |place| {
        window.store(place, DISTINCT.word(BASE + place, round.load(SeqCst)));
        faults.resume(place)
    };
    let mut read = |asked: &Mutex<Vec<u64>>| {
        repeat(500, 4, |number| {
            round.store(number, SeqCst);
            // The file keeps its pages.
            memory.discard(ALL)?;
            vcpu.check(&GUEST, number)?;
            once_each(asked, ALL)?;
            vcpu.fill(&GUEST, number + 1)?;
            once_each(asked, 0..0)?;
            holds(&window, number + 1)
        })
    };
    alone_and_beside_other_slot(&vm, || answered(&faults, finish, &mut read))
}

/// Nobody writes to memory until this process lets the guest do so.
fn protect(backend: &str) -> Result<()> {
    for (size, backing) in [(SIZE, Backing::Small), (2 * PAGE_2M, Backing::Huge)] {
        let memory = Memory::new(size, backing)?;
        let faults = Userfault::of(&memory, Kind::Protected)?;
        let (vm, mut vcpu) = Vm::with(backend, &memory)?;
        let all = Slot::of(&memory).range();
        let advance = guest::pass(Program::Advance, &all, PAGE_4K, DISTINCT, 1);
        let mut run = |asked: &Mutex<Vec<u64>>| {
            vcpu.fill(&all, 1)?;
            vm.during(&mut [(&mut vcpu, advance)], || {
                repeat(1000, 10, |number| {
                    let start = u64::from(number) * 5 * PAGE_4K % size;
                    let part = start..(start + 16 * PAGE_4K).min(size);
                    protect_and_look(&memory, &faults, asked, part)
                })
            })
        };
        let mut protected = || answered(&faults, |_| Ok(()), &mut run);
        let (_, ended) = alone_and_beside_other_slot(&vm, &mut protected)?;
        holds(&memory, ended[0].rax as u32)?;
    }
    Ok(())
}

fn protect_and_look(
    memory: &Memory,
    faults: &Userfault<'_>,
    asked: &Mutex<Vec<u64>>,
    part: Range<u64>,
) -> Result<()> {
    let words = || -> Vec<u32> {
        let places = part.clone().step_by(PAGE_4K as usize);
        places.map(|place| memory.load(place)).collect()
    };
    faults.protect(part.clone(), true)?;
    let before = words();
    let mut places = Vec::new();
    wait_for("the guest asks", || {
        places = take_all(asked);
        Ok(!places.is_empty())
    })?;
    ensure!(
        places.len() == 1 && part.contains(&places[0]),
        "asked for {places:x?}, protected {part:x?}"
    );
    sleep(Duration::from_millis(5));
    ensure!(words() == before, "a guest wrote to protected memory");
    faults.protect(part.clone(), false)?;
    wait_for("the guest writes again", || {
        Ok(words().iter().zip(&before).all(|(now, old)| now != old))
    })
}

/// Each page has what the guest wrote in that round.
fn holds(memory: &Memory, round: u32) -> Result<()> {
    let places = (0..memory.size()).step_by(PAGE_4K as usize);
    let wrong = |place: &u64| memory.load(*place) != DISTINCT.word(BASE + place, round);
    let first = places.into_iter().find(wrong);
    ensure!(first.is_none(), "a wrong word at {first:x?}");
    Ok(())
}
