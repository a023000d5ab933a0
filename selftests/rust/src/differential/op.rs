// SPDX-License-Identifier: GPL-2.0

//! Histories as data: where they start, and what is done, step by step.

use crate::rng::Rng;
use kvm_bindings::{KVM_MEM_LOG_DIRTY_PAGES as LOG, KVM_MEM_READONLY as READ_ONLY};
use kvmtest::guest::Program;
use kvmtest::memory::{Backing, Rights, PAGE_2M, PAGE_4K};
use kvmtest::vm::{Slot, BASE, LOG_CLEARED_BY_GET, LOG_INITIALLY_SET, LOG_MANUAL};
use std::ops::Range;

/// The host's memory behind the slots.
pub const MEMORY: u64 = 2 * PAGE_2M;
/// Guest memory that histories are about.
const WINDOW: u64 = 4 * PAGE_2M;
const SLOTS: Range<u64> = 1..4;
/// Where slots begin in the guest, and in the host's memory. The odd one makes huge pages impossible
/// in one of two slots.
const PLACES: [u64; 4] = [0, PAGE_2M, 2 * PAGE_2M, 3 * PAGE_4K];
const OFFSETS: [u64; 3] = [0, PAGE_2M, 3 * PAGE_4K];
const SIZES: [u64; 4] = [MEMORY, PAGE_2M, PAGE_2M + 5 * PAGE_4K, 3 * PAGE_4K];
/// A slot is made with these. Whether it is read-only does not change later.
const FLAGS: [u32; 4] = [0, 0, LOG, READ_ONLY];
const NEW_FLAGS: [u32; 3] = [0, LOG, LOG];
/// Guest and host do these to memory.
const ACCESSES: [Program; 3] = [Program::Digest, Program::Fill, Program::Visit];
const RIGHTS: [Rights; 4] = [Rights::None, Rights::Read, Rights::All, Rights::All];
const ADVICE: [i32; 6] = [
    libc::MADV_DONTNEED,
    libc::MADV_COLLAPSE,
    libc::MADV_COLLAPSE,
    libc::MADV_PAGEOUT,
    libc::MADV_HUGEPAGE,
    libc::MADV_NOHUGEPAGE,
];

/// How a VM is made.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Of the host's memory.
    pub backing: Backing,
    /// How logs start and are cleared.
    pub log_mode: u64,
    /// The deletion of a slot zaps what it maps and nothing else.
    pub by_range: bool,
}

/// One step. Ranges of memory are of the host's, and of the guest's where it runs.
#[derive(Clone, Debug)]
pub enum Op {
    /// Makes a slot.
    Create(Slot, u32),
    /// Deletes a slot.
    Delete(u32),
    /// Puts a slot elsewhere.
    Move(u32, u64),
    /// Changes the flags of a slot.
    Flags(u32, u32),
    /// Gets the dirty log of a slot.
    GetLog(u32),
    /// Clears so many pages from a page on, those of each 64 that have a bit here.
    ClearLog(u32, Range<u64>, u64),
    /// Maps guest memory in advance.
    Prefault(Range<u64>),
    /// madvise().
    Advise(i32, Range<u64>),
    /// mprotect().
    Protect(Rights, Range<u64>),
    /// The guest goes over its memory, with a step and a round.
    Guest(Program, Range<u64>, u64, u32),
    /// Switches small pages for code on or off.
    Nx(bool),
    /// Switches the early split of huge pages on or off.
    EagerSplit(bool),
}

impl Setup {
    /// Any.
    pub fn random(rng: &mut Rng) -> Self {
        Self {
            backing: *one_of(rng, &[Backing::Small, Backing::Huge, Backing::Huge]),
            log_mode: *one_of(rng, &[LOG_CLEARED_BY_GET, LOG_MANUAL, LOG_INITIALLY_SET]),
            by_range: rng.once_in(2),
        }
    }
}

impl Op {
    /// The usual first one: all memory in one slot.
    pub fn first() -> Self {
        Self::Create(slot(1, 0, 0, MEMORY), 0)
    }

    /// Any.
    pub fn random(rng: &mut Rng) -> Self {
        // The first slot is there most of the time.
        let id = if rng.once_in(2) {
            1
        } else {
            rng.within(SLOTS) as u32
        };
        match rng.within(0..100) {
            0..40 => {
                let (range, stride) = touched(rng, WINDOW);
                let program = *one_of(rng, &ACCESSES);
                let range = BASE + range.start..BASE + range.end;
                Self::Guest(program, range, stride, rng.next() as u32)
            }
            40..50 => Self::Advise(*one_of(rng, &ADVICE), part(rng, MEMORY)),
            50..55 => Self::Protect(*one_of(rng, &RIGHTS), part(rng, MEMORY)),
            55..65 => Self::GetLog(id),
            65..71 => Self::ClearLog(id, rng.part(MEMORY / PAGE_4K, 64), rng.next()),
            71..78 => {
                let range = part(rng, WINDOW);
                Self::Prefault(BASE + range.start..BASE + range.end)
            }
            78..84 => Self::Create(
                slot(
                    id,
                    *one_of(rng, &PLACES),
                    *one_of(rng, &OFFSETS),
                    *one_of(rng, &SIZES),
                ),
                *one_of(rng, &FLAGS),
            ),
            84..87 => Self::Delete(id),
            87..89 => Self::Move(id, BASE + one_of(rng, &PLACES)),
            89..96 => Self::Flags(id, *one_of(rng, &NEW_FLAGS)),
            96..98 => Self::Nx(rng.once_in(2)),
            _ => Self::EagerSplit(rng.once_in(2)),
        }
    }

    /// The kind of step, for counts.
    pub fn kind(&self) -> String {
        match self {
            Self::Guest(program, ..) => format!("Guest {program:?}"),
            Self::Advise(advice, _) => format!("madvise {advice}"),
            other => {
                let text = format!("{other:?}");
                text[..text.find('(').unwrap_or(text.len())].to_string()
            }
        }
    }

    /// The same on less memory.
    pub fn simpler(&self) -> Vec<Self> {
        match self {
            Self::Advise(advice, part) => halves(part, PAGE_4K)
                .map(|part| Self::Advise(*advice, part))
                .collect(),
            Self::Protect(rights, part) => halves(part, PAGE_4K)
                .map(|part| Self::Protect(*rights, part))
                .collect(),
            Self::Prefault(range) => halves(range, PAGE_4K).map(Self::Prefault).collect(),
            Self::Guest(program, range, stride, round) => halves(range, *stride)
                .map(|range| Self::Guest(*program, range, *stride, *round))
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// Both halves of a range of more than one unit.
fn halves(range: &Range<u64>, unit: u64) -> impl Iterator<Item = Range<u64>> {
    let units = (range.end - range.start).div_ceil(unit);
    let middle = range.start + units / 2 * unit;
    let both = [range.start..middle, middle..range.end];
    both.into_iter().filter(move |_| units > 1)
}

/// A few pages, a whole 2M of them, or one page in each 2M; with the step from one to the next.
fn touched(rng: &mut Rng, size: u64) -> (Range<u64>, u64) {
    let stride = if rng.once_in(3) { PAGE_2M } else { PAGE_4K };
    let word = rng.within(0..PAGE_4K / 4) * 4;
    let units = size / stride;
    let start = rng.within(0..units);
    let most = if rng.once_in(8) { 512 } else { 16 };
    let count = rng.within(1..most + 1).min(units - start);
    let last = start + count - 1;
    (start * stride + word..last * stride + word + 4, stride)
}

fn part(rng: &mut Rng, size: u64) -> Range<u64> {
    let unit = if rng.once_in(2) { PAGE_2M } else { PAGE_4K };
    rng.part(size, unit)
}

fn slot(id: u32, place: u64, offset: u64, size: u64) -> Slot {
    Slot {
        id,
        gpa: BASE + place,
        hva: offset,
        size: size.min(MEMORY - offset),
    }
}

fn one_of<'a, T>(rng: &mut Rng, all: &'a [T]) -> &'a T {
    &all[rng.within(0..all.len() as u64) as usize]
}
