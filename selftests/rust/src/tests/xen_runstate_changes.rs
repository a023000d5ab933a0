// SPDX-License-Identifier: GPL-2.0

//! The guest's copy of a vCPU's states while things change: its pages are gone when the scheduler would write it,
//! the guest's width is another one, the clock was set back, userspace says what the states are.

use super::test;
use super::xen_runstate::ENTERED;
use crate::clock::wait_for;
use crate::harness::{Skip, Test};
use anyhow::{bail, ensure, Context, Result};
use kvm_bindings::{
    kvm_clock_data, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST,
    KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA,
};
use kvmtest::backend::RUST;
use kvmtest::cpu;
use kvmtest::guest::{self, Pattern, Program};
use kvmtest::interrupt::Thread;
use kvmtest::memory::{Backing, Memory, PAGE_4K};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Vm, BASE};
use kvmtest::watch::States;
use kvmtest::xen::{self, Area};
use kvmtest::xen_attr::Attribute;
use kvmtest::xen_layout::Layout;
use std::ops::Range;
use std::sync::mpsc::channel;
use std::thread;

pub const TESTS: &[Test] = &[
    test("xen_runstate_owed", owed),
    test("xen_runstate_widens", widens),
    test("xen_runstate_clock_back", clock_back),
    test("xen_runstate_claimed", claimed),
];

/// The copy is around this end of a page.
const EDGE: u64 = PAGE_4K;
/// The guest uses this.
const ELSEWHERE: Range<u64> = BASE + 2 * PAGE_4K..BASE + 3 * PAGE_4K;
const PAGES: u64 = 3;
/// How often to try what a busy host may prevent.
const ROUNDS: usize = 20;
/// The state of a vCPU that would run if it had a processor.
const RUNNABLE: u32 = 1;
/// That of one that waits for something else, and of one that takes no part.
const BLOCKED: u32 = 2;
const OFFLINE: u32 = 3;
/// What userspace says: the state and all times; by how much they are longer; the state.
const DATA: u32 = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA;
const ADJUST: u32 = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST;
const CURRENT: u32 = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT;
/// For the state that there is.
const SAME: u64 = u64::MAX;
/// Nanoseconds on the guest's clock: when it starts, where it is set back to, and for how long it then goes on.
const START: u64 = 100_000_000_000;
const BACK: u64 = 1_000_000_000;
const AHEAD: u64 = 50_000_000_000;

/// A guest of one vCPU with a copy.
struct Guest {
    vm: Vm,
    vcpu: Vcpu,
    memory: Memory,
    place: u64,
}

impl Guest {
    fn new(backend: &str, layout: Layout, place: u64) -> Result<Self> {
        let memory = Memory::new(PAGES * PAGE_4K, Backing::Small)?;
        let (vm, vcpu) = Vm::with(backend, &memory)?;
        xen::enable(&vm)?;
        layout.set(&vm)?;
        xen::set_area(&vcpu, Area::Runstate, Some(BASE + place)).context("setting the area")?;
        Ok(Self {
            vm,
            vcpu,
            memory,
            place,
        })
    }

    fn enter(&mut self) -> Result<()> {
        self.vcpu.fill(&ELSEWHERE, 1)
    }

    fn set_clock(&self, clock: u64) -> Result<()> {
        let clock = kvm_clock_data {
            clock,
            ..Default::default()
        };
        self.vm.fd.set_clock(&clock).context("KVM_SET_CLOCK")
    }

    /// The state and the times in the copy.
    fn copy(&self, layout: Layout) -> (u32, States) {
        let memory = self.memory.read();
        let copy = &memory[self.place as usize..];
        let long = |offset: u64| {
            let bytes = copy[offset as usize..].first_chunk();
            u64::from_le_bytes(*bytes.expect("it is not at the memory's end"))
        };
        let until = layout.until();
        let states = States {
            until: long(until),
            times: [8, 16, 24, 32].map(|behind| long(until + behind)),
        };
        // In each layout the state has four bytes.
        (long(0) as u32, states)
    }

    /// The vCPU runs until it is interrupted. Meanwhile, its copy's pages go, and then it loses its processor. So
    /// the scheduler finds no page to write to. Whether it was so: the vCPU may have had its processor once more.
    fn is_robbed(&mut self) -> Result<bool> {
        let [its, other] = cpu::allowed()?[..2] else {
            bail!(Skip("there is one processor".into()));
        };
        let Self {
            vm, vcpu, memory, ..
        } = self;
        let memory = &*memory;
        vm.stop(false);
        memory.write(0, &vec![0; 2 * EDGE as usize]);
        let (tell, told) = channel();
        thread::scope(|scope| {
            let runs = scope.spawn(move || {
                cpu::stay_on(its)?;
                tell.send(Thread::this()?)?;
                run(vcpu)
            });
            let robs = scope.spawn(move || {
                cpu::stay_on(other)?;
                let thread = told.recv().context("the vCPU does not run")?;
                wait_for("the vCPU's state", || Ok(!is_empty(memory)))?;
                cpu::go_first(1)?;
                memory.discard(0..2 * EDGE)?;
                cpu::stay_on(its)?;
                thread.interrupt()
            });
            let robbed = robs.join().expect("no panics here");
            // Who was not interrupted still runs.
            vm.stop(robbed.is_err());
            let ended = runs.join().expect("no panics here");
            robbed.and(ended)
        })?;
        Ok(is_empty(memory))
    }
}

/// Until a signal comes.
fn run(vcpu: &mut Vcpu) -> Result<()> {
    let pattern = Pattern::Same;
    let regs = guest::pass(Program::Echo, &ELSEWHERE, PAGE_4K, pattern, 0);
    vcpu.fd.set_regs(&regs)?;
    match vcpu.fd.run() {
        Err(error) if error.errno() == libc::EINTR => Ok(()),
        other => bail!("the vCPU stopped with {other:?}"),
    }
}

/// Whether there is no copy.
fn is_empty(memory: &Memory) -> bool {
    memory.read()[..2 * EDGE as usize]
        .iter()
        .all(|&byte| byte == 0)
}

/// What the scheduler could not write is made up for when userspace asks for the times: the guest has the same.
/// C drops it (docs/xen.md), so nothing is demanded of C.
fn owed(backend: &str) -> Result<()> {
    for layout in Layout::ALL {
        let mut guest = Guest::new(backend, layout, EDGE - 20)?;
        let mut rounds = (0..ROUNDS).map(|_| guest.is_robbed());
        let robbed = rounds.find(|robbed| !matches!(robbed, Ok(false)));
        if !robbed.unwrap_or(Ok(false))? {
            bail!(Skip("the vCPU could not be robbed of its processor".into()));
        }
        let kvms = xen::states(&guest.vcpu.fd)?;
        let copy = guest.copy(layout);
        println!("# {layout:?}: {copy:?}");
        ensure!(
            copy == (RUNNABLE, kvms) || backend != RUST,
            "{layout:?}: the guest has {copy:?} instead of {kvms:?}"
        );
    }
    Ok(())
}

/// A guest's width changes, and with it the place of each time. A wider one may need a second page.
fn widens(backend: &str) -> Result<()> {
    for before in Layout::Compat.states() - 4..Layout::Native.states() + 4 {
        let mut guest = Guest::new(backend, Layout::Compat, EDGE - before)?;
        for layout in [Layout::ALL, Layout::ALL].concat() {
            layout.set(&guest.vm)?;
            is_told(&mut guest, backend, layout)
                .with_context(|| format!("{layout:?}, {before} bytes before the page's end"))?;
        }
    }
    Ok(())
}

/// The copy is what KVM has, in that layout. C drops an update for which it would have to wait.
fn is_told(guest: &mut Guest, backend: &str, layout: Layout) -> Result<()> {
    let tries = if backend == RUST { 1 } else { ROUNDS };
    for _ in 0..tries {
        guest.memory.write(0, &vec![0xff; 2 * EDGE as usize]);
        guest.enter()?;
        let (state, states) = guest.copy(layout);
        if ENTERED.map(u32::from).contains(&state) && states == xen::states(&guest.vcpu.fd)? {
            return Ok(());
        }
    }
    bail!("the guest has {:?}", guest.copy(layout))
}

/// The clock is set back: no time passes until it is where it was. Then all of it has passed.
fn clock_back(backend: &str) -> Result<()> {
    for layout in Layout::ALL {
        let mut guest = Guest::new(backend, layout, EDGE - 20)?;
        guest.set_clock(START)?;
        guest.enter()?;
        let (_, before) = guest.copy(layout);
        ensure!(before.until >= START, "{before:?} are of before the start");

        guest.set_clock(BACK)?;
        guest.memory.write(0, &vec![0xff; 2 * EDGE as usize]);
        guest.enter()?;
        let (state, meanwhile) = guest.copy(layout);
        ensure!(
            meanwhile == before && ENTERED.map(u32::from).contains(&state),
            "{layout:?}: {before:?} became {meanwhile:?}, state {state:#x}"
        );

        guest.set_clock(START + AHEAD)?;
        guest.enter()?;
        let (_, after) = guest.copy(layout);
        let mut both = before.times.iter().zip(after.times);
        ensure!(
            after.until >= START + AHEAD && both.all(|(&before, after)| after >= before),
            "{layout:?}: {before:?} became {after:?}"
        );
        // C may count twice what passes while it is interrupted.
        ensure!(
            after.excess() == before.excess() || backend != RUST,
            "{layout:?}: {after:?} do not add up"
        );
    }
    Ok(())
}

/// What userspace says of the times is what KVM has, and what the guest has when it hears of it. A state that is entered
/// ends the one before.
fn claimed(backend: &str) -> Result<()> {
    for layout in Layout::ALL {
        let guest = Guest::new(backend, layout, EDGE - 20)?;
        guest.set_clock(START)?;
        guest.says(DATA, [BLOCKED.into(), 1111, 1, 10, 100, 1000])?;
        guest.has_kvms([1111, 1, 10, 100, 1000])?;
        guest.says(ADJUST, [SAME, 2222, 2, 20, 200, 2000])?;
        guest.has_kvms([3333, 3, 30, 300, 3000])?;
        guest.is_in(layout, BLOCKED, [Some(3), Some(30), Some(300), Some(3000)])?;
        guest.says(ADJUST, [RUNNABLE.into(), 5, 0, 0, 0, 5])?;
        guest.is_in(layout, RUNNABLE, [Some(3), Some(30), None, Some(3005)])?;
        let blocked = xen::states(&guest.vcpu.fd)?.times[2];
        guest.says(CURRENT, [OFFLINE.into(), 0, 0, 0, 0, 0])?;
        guest.is_in(layout, OFFLINE, [Some(3), None, Some(blocked), Some(3005)])?;
    }
    Ok(())
}

impl Guest {
    fn says(&self, kind: u32, said: [u64; 6]) -> Result<()> {
        let [state, until, running, runnable, blocked, offline] = said;
        let words = [state, until, running, runnable, blocked, offline, 0, 0];
        let error = Attribute::Vcpu(kind as u16).set(&self.vm, &self.vcpu, words);
        ensure!(error == 0, "attribute {kind}, {said:?}: {error}");
        Ok(())
    }

    /// KVM has these times, the one of the last change first.
    fn has_kvms(&self, [until, times @ ..]: [u64; 5]) -> Result<()> {
        let (kvms, wanted) = (xen::states(&self.vcpu.fd)?, States { until, times });
        ensure!(kvms == wanted, "KVM has {kvms:?} instead of {wanted:?}");
        Ok(())
    }

    /// So it is for the guest and for KVM, and the times add up. Who gives no time for a state demands that another was
    /// entered since.
    fn is_in(&self, layout: Layout, state: u32, wanted: [Option<u64>; 4]) -> Result<()> {
        let (copy, kvms) = (self.copy(layout), xen::states(&self.vcpu.fd)?);
        let mut both = kvms.times.iter().zip(wanted);
        let right = both.all(|(&time, wanted)| wanted.is_none_or(|wanted| wanted == time));
        let entered = kvms.until >= START || wanted.iter().all(Option::is_some);
        ensure!(
            copy == (state, kvms) && right && entered && kvms.excess() == 0,
            "{layout:?}: the guest has {copy:?}, and KVM {kvms:?}, instead of {wanted:?}"
        );
        Ok(())
    }
}
