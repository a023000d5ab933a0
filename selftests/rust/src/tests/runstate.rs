// SPDX-License-Identifier: GPL-2.0

//! The states that KVM keeps for a vCPU of a Xen guest: how long it was in each.

use super::{reported, test, while_interrupted};
use crate::harness::{Skip, Test};
use anyhow::{bail, ensure, Context, Result};
use kvmtest::backend::RUST;
use kvmtest::memory::{Backing, Memory, PAGE_4K};
use kvmtest::probes::{Probes, Whose};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Vm, BASE};
use kvmtest::xen::{self, Area};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    test("runstate_whose", whose),
    Test {
        timeout: 240,
        ..reported("09-runstate-twice", "runstate_adds_up", adds_up)
    },
];

/// What C does to write the guest's copy.
const C_COPY: &str = "kvm:kvm_xen_update_runstate_guest";
/// How often the vCPU is entered.
const ENTRIES: u32 = 10;
/// Where the copy is: in two pages.
const COPY: u64 = 2 * PAGE_4K - 12;
/// By now KVM has been interrupted often enough.
const COUNTING: Duration = Duration::from_secs(30);
/// On C this ends as soon as KVM counts wrong. Where others use the machine, too, that may take longer.
const COUNTING_WRONG: Duration = Duration::from_secs(150);

/// C never writes the guest's copy for a VM on Rust, and does so for one on C. Both guests have it, from
/// the moment on when userspace says where.
fn whose(backend: &str) -> Result<()> {
    if !Probes::work_here() {
        bail!(Skip("the kernel has no kprobes".into()));
    }
    let memory = Memory::new(3 * PAGE_4K, Backing::Small)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    xen::enable(&vm)?;
    memory.write(COPY, &[u8::MAX; xen::RUNSTATE as usize]);
    let nothing = copy(&memory);
    let calls = Probes::new(&[C_COPY], Whose::All)?;
    xen::set_area(&vcpu, Area::Runstate, Some(BASE + COPY)).context("placing the copy")?;
    ensure!(copy(&memory) != nothing, "there is no copy");
    for entry in 1..=ENTRIES {
        let before = copy(&memory);
        vcpu.fill(&(BASE..BASE + PAGE_4K), entry)?;
        ensure!(copy(&memory) != before, "the guest's copy is an old one");
    }
    let (calls, mine) = (calls.calls()?, backend != RUST);
    ensure!(mine == (calls > 0), "{calls} calls on {backend}");
    Ok(())
}

/// All of the guest's copy.
fn copy(memory: &Memory) -> Vec<u32> {
    let words = (COPY..COPY + xen::RUNSTATE).step_by(4);
    words.map(|at| memory.load(at)).collect()
}

/// However often KVM is interrupted while it counts: the times add up to the moment of the last change.
fn adds_up(backend: &str) -> Result<()> {
    let memory = Memory::new(PAGE_4K, Backing::Small)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    xen::enable(&vm)?;
    let long_enough = match backend {
        RUST => COUNTING,
        _ => COUNTING_WRONG,
    };
    let excess = while_interrupted(|exits| count(&mut vcpu, exits, long_enough))?;
    ensure!(excess == 0, "KVM has counted time twice");
    Ok(())
}

/// KVM counts when a vCPU is entered. Gives the excess of the times, as soon as there is one.
fn count(vcpu: &mut Vcpu, exits: &AtomicU32, long_enough: Duration) -> Result<i64> {
    let begin = Instant::now();
    while begin.elapsed() < long_enough {
        vcpu.fill(&(BASE..BASE + PAGE_4K), 1)?;
        exits.fetch_add(1, SeqCst);
        let excess = xen::states(&vcpu.fd)?.excess();
        if excess != 0 {
            return Ok(excess);
        }
    }
    Ok(0)
}
