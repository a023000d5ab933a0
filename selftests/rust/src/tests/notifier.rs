// SPDX-License-Identifier: GPL-2.0

//! The host takes memory away while guests write to it.
//!
//! Two kinds of guests: those that echo show which page they use now, those that advance check the
//! content of each page before they change it.

use super::test;
use crate::clock::{repeat, wait_for};
use crate::harness::Test;
use anyhow::{ensure, Result};
use kvmtest::guest::{self, Pattern, Program};
use kvmtest::memory::{Backing, Memory, Rights, KIB, MIB, PAGE_2M, PAGE_4K};
use kvmtest::sysfs::{self, Setting};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Vm, BASE};
use std::ops::Range;
use std::thread::sleep;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    test("notifier_dontneed_4k", |backend| {
        revoked(backend, Backing::Small, discard)
    }),
    test("notifier_dontneed_2m", |backend| {
        revoked(backend, Backing::Huge, discard)
    }),
    test("notifier_mremap_4k", |backend| {
        revoked(backend, Backing::Small, move_away)
    }),
    test("notifier_mremap_2m", |backend| {
        revoked(backend, Backing::Huge, move_away)
    }),
    test("notifier_mprotect", mprotect),
    test("notifier_fork", fork),
    test("notifier_collapse", collapse),
    test("notifier_ksm", ksm),
];

/// Offsets of the words that the two vCPUs echo, each to the word after it.
const ECHOES: [u64; 2] = [0, 64];
const MARK: u32 = 0xdead_beef;

/// Gives the page back to the host, which then uses it for the next that asks for one.
fn discard(memory: &Memory, start: u64, length: u64) -> Result<Memory> {
    memory.discard(start..start + length)?;
    let backing = if length == PAGE_4K {
        Backing::Small
    } else {
        Backing::Huge
    };
    Memory::new(length, backing)
}

fn move_away(memory: &Memory, start: u64, length: u64) -> Result<Memory> {
    memory.move_away(start..start + length)
}

/// Takes a page from the guests. The result has it now.
type TakeAway = fn(&Memory, u64, u64) -> Result<Memory>;

/// A page that was taken away is the guests' no longer: they see the one in its place, and no
/// longer write to the old one.
fn revoked(backend: &str, backing: Backing, take_away: TakeAway) -> Result<()> {
    let (page, count) = if backing == Backing::Small {
        (PAGE_4K, 64)
    } else {
        (PAGE_2M, 4)
    };
    let memory = Memory::new(page * count, backing)?;
    let (vm, mut first) = Vm::with(backend, &memory)?;
    let mut second = vm.vcpu(1)?;
    let stride = (page / 8).max(PAGE_4K);
    let echo = |index: usize| {
        let range = BASE + ECHOES[index]..BASE + memory.size();
        guest::pass(Program::Echo, &range, stride, Pattern::Same, 0)
    };
    let mut guests = [(&mut first, echo(0)), (&mut second, echo(1))];
    vm.during(&mut guests, || {
        repeat(1000, 10, |token| {
            let place = u64::from(token) % count * page;
            take_and_look(&memory, place, token, || take_away(&memory, place, page))
        })
    })
    .map(drop)
}

fn take_and_look(
    memory: &Memory,
    place: u64,
    token: u32,
    take_away: impl FnOnce() -> Result<Memory>,
) -> Result<()> {
    let old = take_away()?;
    ECHOES.iter().for_each(|echo| old.store(echo + 4, MARK));
    ECHOES
        .iter()
        .for_each(|echo| memory.store(place + echo, token));
    wait_for("the guests see the new page", || {
        Ok(ECHOES
            .iter()
            .all(|echo| memory.load(place + echo + 4) == token))
    })?;
    ensure!(
        ECHOES.iter().all(|echo| old.load(echo + 4) == MARK),
        "a guest wrote to a page that was taken away"
    );
    Ok(())
}

/// Memory that guests write to on both halves, each word checked before it is changed.
pub(super) struct Advancing {
    pub(super) memory: Memory,
    vm: Vm,
    vcpus: [Vcpu; 2],
    pattern: Pattern,
    /// What the words of each half hold now.
    rounds: [u32; 2],
}

impl Advancing {
    pub(super) fn new(
        backend: &str,
        size: u64,
        backing: Backing,
        pattern: Pattern,
    ) -> Result<Self> {
        let memory = Memory::new(size, backing)?;
        let (vm, mut first) = Vm::with(backend, &memory)?;
        let mut second = vm.vcpu(1)?;
        (first.patient, second.patient) = (true, true);
        let all = BASE..BASE + size;
        first.run(&guest::pass(Program::Fill, &all, PAGE_4K, pattern, 1))?;
        Ok(Self {
            memory,
            vm,
            vcpus: [first, second],
            pattern,
            rounds: [1, 1],
        })
    }

    /// Guests write to those halves while `host` works, and for another round after that.
    pub(super) fn during(
        &mut self,
        halves: &[usize],
        host: impl FnOnce(&Memory) -> Result<()>,
    ) -> Result<()> {
        let half = self.memory.size() / 2;
        let (pattern, rounds) = (self.pattern, self.rounds);
        let advance = |index: usize| {
            let start = BASE + index as u64 * half;
            guest::pass(
                Program::Advance,
                &(start..start + half),
                PAGE_4K,
                pattern,
                rounds[index],
            )
        };
        let vcpus = self.vcpus.iter_mut().enumerate();
        let chosen = vcpus.filter(|(index, _)| halves.contains(index));
        let mut guests: Vec<_> = chosen.map(|(index, vcpu)| (vcpu, advance(index))).collect();
        let memory = &self.memory;
        let words = || -> Vec<u32> {
            let starts = halves.iter().map(|&index| index as u64 * half);
            starts.map(|start| memory.load(start)).collect()
        };
        let (_, ended) = self.vm.during(&mut guests, || {
            host(memory)?;
            let then = words();
            wait_for("the guests write", || {
                Ok(words().iter().zip(&then).all(|(now, then)| now != then))
            })
        })?;
        for (regs, &index) in ended.iter().zip(halves) {
            self.rounds[index] = regs.rax as u32;
        }
        Ok(())
    }

    /// Every word in memory is what the guests wrote last.
    pub(super) fn finish(self) -> Result<()> {
        for offset in (0..self.memory.size()).step_by(PAGE_4K as usize) {
            let half = usize::from(offset >= self.memory.size() / 2);
            let wanted = self.pattern.word(BASE + offset, self.rounds[half]);
            let found = self.memory.load(offset);
            ensure!(
                found == wanted,
                "{found:#x} instead of {wanted:#x} at {offset:#x}"
            );
        }
        Ok(())
    }
}

/// What may only be read does not change, and can be written again later.
fn mprotect(backend: &str) -> Result<()> {
    for (size, backing) in [(MIB, Backing::Small), (4 * PAGE_2M, Backing::Huge)] {
        let mut guests = Advancing::new(backend, size, backing, Pattern::Distinct)?;
        guests.during(&[0, 1], |memory| {
            for number in 0..20 {
                let range = some_of(size, number);
                let words = || [range.start, range.end - PAGE_4K].map(|offset| memory.load(offset));
                memory.protect(range.clone(), Rights::Read)?;
                let before = words();
                sleep(Duration::from_millis(5));
                ensure!(
                    words() == before,
                    "a guest wrote to memory that is read-only"
                );
                memory.protect(range.clone(), Rights::All)?;
                wait_for("the guests write again", || {
                    Ok(words().iter().zip(&before).all(|(now, old)| now != old))
                })?;
            }
            Ok(())
        })?;
        guests.finish()?;
    }
    Ok(())
}

/// A part of the memory: all, a sixteenth, one page of it.
fn some_of(size: u64, number: u64) -> Range<u64> {
    let start = number * 5 % 16 * (size / 16);
    match number % 3 {
        0 => 0..size,
        1 => start..start + size / 16,
        _ => start..start + PAGE_4K,
    }
}

/// A child process has the memory as it was, whatever the guests write later.
fn fork(backend: &str) -> Result<()> {
    for (size, backing) in [(MIB, Backing::Small), (4 * PAGE_2M, Backing::Huge)] {
        let mut guests = Advancing::new(backend, size, backing, Pattern::Distinct)?;
        guests.during(&[0, 1], |memory| {
            for _ in 0..8 {
                ensure!(
                    memory_in_child_is_frozen(memory),
                    "a guest wrote to the child's memory"
                );
            }
            Ok(())
        })?;
        guests.finish()?;
    }
    Ok(())
}

fn memory_in_child_is_frozen(memory: &Memory) -> bool {
    let sum = || {
        let offsets = (0..memory.size()).step_by(PAGE_4K as usize);
        offsets.fold(0, |sum: u32, offset| {
            sum.wrapping_mul(31).wrapping_add(memory.load(offset))
        })
    };
    // SAFETY: the child reads memory, sleeps and exits, for which it needs no lock that another
    // thread may have held.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let before = sum();
        sleep(Duration::from_millis(20));
        // SAFETY: ends the child at once, without what the parent registered for its exit.
        unsafe { libc::_exit((sum() != before).into()) };
    }
    let mut status = 0;
    // SAFETY: `status` is this function's own.
    let ended = unsafe { libc::waitpid(child, &mut status, 0) };
    child > 0 && ended == child && status == 0
}

/// The host splits its huge pages and makes new ones, with the guests' content.
fn collapse(backend: &str) -> Result<()> {
    let mut guests = Advancing::new(backend, 4 * PAGE_2M, Backing::Huge, Pattern::Distinct)?;
    guests.during(&[0, 1], |memory| {
        let mut collapsed = 0;
        repeat(1500, 12, |number| {
            let start = u64::from(number) * PAGE_2M % memory.size();
            // A page of its own rights cannot be part of a huge one.
            memory.protect(start..start + PAGE_4K, Rights::Read)?;
            memory.protect(start..start + PAGE_4K, Rights::All)?;
            let huge = memory.advise(start..start + PAGE_2M, libc::MADV_COLLAPSE);
            collapsed += u32::from(huge.is_ok());
            Ok(())
        })?;
        ensure!(collapsed > 4, "the host made only {collapsed} huge pages");
        Ok(())
    })?;
    guests.finish()
}

/// The host merges pages of equal content; a guest that writes gets its own again.
fn ksm(backend: &str) -> Result<()> {
    const KSM: &str = "/sys/kernel/mm/ksm/pages_sharing";
    const SIZE: u64 = 512 * KIB;
    let mut guests = Advancing::new(backend, SIZE, Backing::Small, Pattern::Same)?;
    guests.memory.advise(0..SIZE, libc::MADV_MERGEABLE)?;
    let _sleep = Setting::new("/sys/kernel/mm/ksm/sleep_millisecs", "1")?;
    let _scan = Setting::new("/sys/kernel/mm/ksm/pages_to_scan", "1000")?;
    for quiet in [0, 1, 0, 1] {
        guests.during(&[1 - quiet], |_| {
            let _run = Setting::new("/sys/kernel/mm/ksm/run", "1")?;
            wait_for("the host merges pages", || Ok(sysfs::number(KSM)? >= 50))
        })?;
        guests.during(&[0, 1], |_| Ok(()))?;
    }
    guests.finish()
}
