// SPDX-License-Identifier: GPL-2.0

//! Where a Xen guest has its vCPU's states: at any byte, in one page or in two, in either layout. While the
//! kernel writes them, another vCPU reads them, and must never see a part of the old with a part of the new.

use super::long;
use crate::harness::Test;
use anyhow::{ensure, Context, Result};
use kvmtest::backend::RUST;
use kvmtest::beside::beside;
use kvmtest::memory::{Backing, Memory, PAGE_4K};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Vm, BASE};
use kvmtest::watch::{Excess, Watch};
use kvmtest::xen::{self, Area};
use kvmtest::xen_layout::Layout;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Mutex;

pub const TESTS: &[Test] = &[long("xen_runstate_splits", splits)];

/// The states are around this end of a page.
const EDGE: u64 = PAGE_4K;
/// Stays zero: a clock that nobody writes.
const NO_CLOCK: u64 = BASE + 2 * PAGE_4K;
/// The vCPU whose states these are writes there.
const ELSEWHERE: u64 = BASE + 3 * PAGE_4K;
const PAGES: u64 = 4;
/// What is around the states.
const AROUND: u8 = 0xa5;
/// How often the kernel writes them, in each place.
const WRITES: u32 = 60;
/// The reading vCPU.
const READER: u64 = 1;
/// Bytes that tell the state.
const STATE: usize = 4;
/// The states of a vCPU that has been entered: it runs, or would if it had a processor.
pub const ENTERED: [u8; 2] = [0, 1];

fn splits(backend: &str) -> Result<()> {
    for layout in Layout::ALL {
        let (places, mut changes) = (1..layout.states() + 8, 0);
        // From the first byte that would be in the next page to the last, and some that are all in one.
        for before in places.clone() {
            let place = EDGE - before;
            changes += Guest::new(backend, layout, place)
                .and_then(|guest| guest.read_whole(backend))
                .with_context(|| format!("{layout:?}, {before} bytes before the page's end"))?;
        }
        println!("# {layout:?}: the reader saw {changes} changes");
        ensure!(
            changes > places.end / 4,
            "{layout:?}: the reader saw {changes} changes"
        );
    }
    Ok(())
}

/// The vCPU that reads, and what it has seen.
struct Reader {
    vcpu: Vcpu,
    excess: Excess,
    until: u64,
    changes: u64,
}

/// A guest of two vCPUs. One is entered again and again, the other reads its states.
struct Guest {
    vm: Vm,
    runs: Vcpu,
    reads: Mutex<Reader>,
    memory: Memory,
    watch: Watch,
    layout: Layout,
    place: u64,
}

impl Guest {
    fn new(backend: &str, layout: Layout, place: u64) -> Result<Self> {
        let memory = Memory::new(PAGES * PAGE_4K, Backing::Small)?;
        memory.write(0, &[AROUND; 2 * PAGE_4K as usize]);
        let (vm, runs) = Vm::with(backend, &memory)?;
        xen::enable(&vm)?;
        layout.set(&vm)?;
        xen::mark_changes(&vm)?;
        let reads = Mutex::new(Reader {
            vcpu: vm.vcpu(READER)?,
            excess: Excess::default(),
            until: 0,
            changes: 0,
        });
        xen::set_area(&runs, Area::Runstate, Some(BASE + place)).context("setting the area")?;
        Ok(Self {
            watch: Watch::new(&vm)?,
            vm,
            runs,
            reads,
            memory,
            layout,
            place,
        })
    }

    /// How many changes the reader has seen.
    fn read_whole(self, backend: &str) -> Result<u64> {
        let Self {
            vm,
            mut runs,
            reads,
            memory,
            watch,
            layout,
            place,
        } = self;
        let whose = runs.fd.as_raw_fd();
        // A reader would wait for the end of that change.
        ensure!(
            !is_marked(&memory.read(), place as usize, layout),
            "a mark is left"
        );
        let read = || {
            let mut reader = reads.lock().expect("no panics here");
            reader.read(&watch, layout, place, whose)
        };
        beside(1, read, || {
            (0..WRITES).try_for_each(|round| runs.fill(&(ELSEWHERE..ELSEWHERE + PAGE_4K), round))
        })?;
        is_alone(&memory.read(), place as usize, layout, backend)?;
        drop(vm);
        Ok(reads.into_inner().expect("no panics here").changes)
    }
}

impl Reader {
    /// Its program looks for the time up to which the states are four bytes behind their begin, as in a guest
    /// of 32 bits.
    fn read(&mut self, watch: &Watch, layout: Layout, place: u64, whose: RawFd) -> Result<()> {
        let begin = BASE + place + layout.until() - Layout::Compat.until();
        self.vcpu.run(&Watch::regs(READER, NO_CLOCK, begin))?;
        let (_, states) = watch.seen(READER);
        self.changes += u64::from(states.until != self.until);
        self.until = states.until;
        let kvms = || Ok(xen::states(&whose)?.excess());
        self.excess.is_as_before(&states, kvms).map(drop)
    }
}

/// The kernel has written the states and nothing around them. What is between the state and the first time
/// in a guest of 64 bits is zero; C may leave what it was. No mark is left.
fn is_alone(memory: &[u8], place: usize, layout: Layout, backend: &str) -> Result<()> {
    let end = place + layout.states() as usize;
    let until = place + layout.until() as usize;
    let around = memory[..place]
        .iter()
        .chain(&memory[end..2 * PAGE_4K as usize]);
    ensure!(
        around.into_iter().all(|&byte| byte == AROUND),
        "the kernel has written around the states"
    );
    let (state, between) = memory[place..until].split_at(STATE);
    ensure!(
        ENTERED.contains(&state[0]) && state[1..] == [0; STATE - 1],
        "the state is {state:x?}"
    );
    let padding = if backend == RUST {
        &[0][..]
    } else {
        &[0, AROUND]
    };
    ensure!(
        padding
            .iter()
            .any(|&old| between.iter().all(|&byte| byte == old)),
        "{between:x?} is behind the state"
    );
    ensure!(!is_marked(memory, place, layout), "a mark is left");
    Ok(())
}

/// Whether the states say that they are being changed.
fn is_marked(memory: &[u8], place: usize, layout: Layout) -> bool {
    memory[place + layout.until() as usize + 7] & 0x80 != 0
}
