// SPDX-License-Identifier: GPL-2.0

//! How many faults of a vCPU come to their end while the log of another slot is harvested.
//!
//! There is one processor, and the vCPU goes first on it. So whatever it waits for is a lock that the harvest
//! holds, or a moment in which the harvest may not be interrupted.

use crate::sample::thread_time;
use anyhow::{ensure, Result};
use kvm_bindings::KVM_MEM_LOG_DIRTY_PAGES;
use kvmtest::beside::beside;
use kvmtest::cpu;
use kvmtest::guest::{self, Pattern, Program};
use kvmtest::memory::{Backing, Memory, MIB, PAGE_1G, PAGE_4K};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Slot, Vm, LOG_INITIALLY_SET, SLOT};
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Memory whose log is harvested.
const HARVESTED: u64 = 4 * PAGE_1G;
/// Memory that the vCPU faults in, below it.
const FAULTED: u64 = 256 * MIB;
const FAULTED_AT: u64 = 256 * MIB;
/// How long the vCPU sleeps before each fault.
const NAP: Duration = Duration::from_micros(50);

#[derive(Serialize)]
struct Line<'a> {
    backend: &'a str,
    what: &'a str,
    /// While the log was harvested, and undisturbed.
    beside: Faults,
    alone: Faults,
}

/// Those of a vCPU meanwhile.
#[derive(Serialize)]
pub struct Faults {
    /// In a second.
    rate: f64,
    /// Instructions of the vCPU's thread for each, with the guest's entry and exit. It does not run while it waits.
    each: f64,
    /// Microseconds that the slowest one took, with the guest's entry and exit, and how late its task woke up.
    worst: f64,
}

/// Reports the faults on each backend.
pub fn report(backends: &[&str]) -> Result<()> {
    for backend in backends {
        println!("{}", serde_json::to_string(&run(backend)?)?);
    }
    Ok(())
}

fn run(backend: &str) -> Result<Line<'_>> {
    let memory = Memory::new(HARVESTED, Backing::Small)?;
    let slot = Slot::of(&memory);
    let vm = Vm::new(backend)?;
    vm.set_log_mode(LOG_INITIALLY_SET)?;
    vm.set(&slot, KVM_MEM_LOG_DIRTY_PAGES)?;
    let other = Memory::new(FAULTED, Backing::Small)?;
    let faulted = Slot {
        id: SLOT + 1,
        gpa: FAULTED_AT,
        ..Slot::of(&other)
    };
    vm.set(&faulted, 0)?;
    let faulter = Faulter::new(vm.vcpu(0)?, &faulted);
    faulter.populate(&slot)?;
    let mut log = vm.get_log(&slot)?;
    let (beside, time) =
        faulter.during(|| vm.clear_log(&slot, 0, HARVESTED / PAGE_4K, &mut log))?;
    let (alone, _) = faulter.during(|| {
        let begin = Instant::now();
        while begin.elapsed() < time {}
        Ok(())
    })?;
    Ok(Line {
        backend,
        what: "faults",
        beside,
        alone,
    })
}

/// A vCPU that writes to one new page after the other.
pub struct Faulter<'a> {
    vcpu: Mutex<Vcpu>,
    slot: &'a Slot,
    done: AtomicU64,
    /// Instructions of all.
    spent: AtomicU64,
    /// Nanoseconds that the slowest one took.
    worst: AtomicU64,
}

impl<'a> Faulter<'a> {
    /// It begins with the first page of `slot`.
    pub fn new(vcpu: Vcpu, slot: &'a Slot) -> Self {
        Self {
            vcpu: Mutex::new(vcpu),
            slot,
            done: AtomicU64::new(0),
            spent: AtomicU64::new(0),
            worst: AtomicU64::new(0),
        }
    }

    fn populate(&self, slot: &Slot) -> Result<()> {
        self.vcpu.lock().expect("no panic").populate(&slot.range())
    }

    /// One of the vCPU's statistics.
    pub fn figure(&self, name: &str) -> Result<u64> {
        self.vcpu.lock().expect("no panic").stats.get(name)
    }

    /// Faults while the host does this, and how long it takes.
    pub fn during(&self, host: impl FnOnce() -> Result<()>) -> Result<(Faults, Duration)> {
        self.worst.store(0, SeqCst);
        let (done, spent) = (self.done.load(SeqCst), self.spent.load(SeqCst));
        let timed = || {
            let (begin, before) = (Instant::now(), self.done.load(SeqCst));
            host()?;
            Ok((begin.elapsed(), self.done.load(SeqCst) - before))
        };
        // The last fault ends behind the harvest that it has waited for.
        let (time, count) = beside(1, || self.fault(), timed)?;
        let rate = count as f64 / time.as_secs_f64();
        let worst = self.worst.load(SeqCst) as f64 / 1000.0;
        let all = self.done.load(SeqCst) - done;
        let each = (self.spent.load(SeqCst) - spent) as f64 / all as f64;
        Ok((Faults { rate, each, worst }, time))
    }

    fn fault(&self) -> Result<()> {
        cpu::go_first(1)?;
        let gpa = self.slot.gpa + self.done.load(SeqCst) * PAGE_4K;
        ensure!(gpa < self.slot.range().end, "no page is left");
        let page = gpa..gpa + PAGE_4K;
        let regs = guest::pass(Program::Increment, &page, PAGE_4K, Pattern::Same, 0);
        let begin = Instant::now();
        sleep(NAP);
        let mut vcpu = self.vcpu.lock().expect("no panic");
        let before = thread_time();
        vcpu.run(&regs)?;
        self.spent.fetch_add(thread_time() - before, SeqCst);
        let time = begin.elapsed().saturating_sub(NAP);
        self.worst.fetch_max(time.as_nanos() as u64, SeqCst);
        self.done.fetch_add(1, SeqCst);
        Ok(())
    }
}
