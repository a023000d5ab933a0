// SPDX-License-Identifier: GPL-2.0

//! An invalidation that gives up `mmu_lock` in the middle. Others find that what it has zapped is not
//! mapped, and do not flush for it. So no TLB may hold it any more.

use super::{interrupt_at_once, reported};
use crate::harness::{Skip, Test};
use anyhow::{bail, ensure, Result};
use kvmtest::beside::beside;
use kvmtest::guest::{self, Pattern, Program};
use kvmtest::memory::{Backing, Memory, MIB, PAGE_1G, PAGE_2M, PAGE_4K};
use kvmtest::probes::{Probes, Whose};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Slot, Vm, BASE};
use std::ops::Range;

pub const TESTS: &[Test] = &[Test {
    timeout: 180,
    ..reported(
        "06-flush-between-slots",
        "flush_between_slots",
        between_slots,
    )
}];

/// Where a walk gives way.
const YIELD: &str = "__cond_resched_rwlock_write";
const FLUSH: &str = "kvm:kvm_flush_remote_tlbs";
const CHANGE: &str = "kvmmmu/kvm_tdp_mmu_spte_changed";
const ROUNDS: usize = 72;
/// How often a flush must come in time. In other rounds no walk gives way at the right moment.
const ENOUGH: usize = 3;

/// Two slots have the same memory of the host. One maps its very last page. The other maps nothing, but
/// has page tables. So the walk of the one ends when it has zapped a page, and that of the other gives way
/// before it has zapped any.
fn between_slots(backend: &str) -> Result<()> {
    if !Probes::work_here() {
        bail!(Skip("the kernel has no kprobes".into()));
    }
    let memory = Memory::new(PAGE_1G, Backing::Sparse)?;
    let other = Memory::new(MIB, Backing::Small)?;
    let vm = Vm::new(backend)?;
    for (place, memory) in (1..).zip([&memory, &memory, &other]) {
        let (id, gpa) = (place, u64::from(place) * BASE);
        vm.set(
            &Slot {
                id,
                gpa,
                ..Slot::of(memory)
            },
            0,
        )?;
    }
    let mut vcpu = vm.vcpu(0)?;
    write(&mut vcpu, BASE..3 * BASE)?;
    memory.discard(0..memory.size())?;
    let _preempt = interrupt_at_once()?;
    let storm = || {
        other.store(0, 1);
        other.discard(0..PAGE_4K)
    };
    let mut settled = 0;
    // Which of them KVM walks first is its own affair.
    for end in [2 * BASE, 3 * BASE].into_iter().cycle().take(ROUNDS) {
        write(&mut vcpu, end - PAGE_4K..end)?;
        settled += usize::from(beside(1, storm, || discard(&memory))?);
        if settled == ENOUGH {
            return Ok(());
        }
    }
    bail!("walks gave way after a page was zapped in {settled} of {ROUNDS} rounds")
}

fn write(vcpu: &mut Vcpu, range: Range<u64>) -> Result<()> {
    let fill = guest::pass(Program::Fill, &range, PAGE_2M, Pattern::Same, 1);
    vcpu.run(&fill).map(drop)
}

/// Takes the memory away. Whether the walk gave way after it had zapped a page, for which TLBs were
/// flushed then.
fn discard(memory: &Memory) -> Result<bool> {
    let probes = Probes::new(&[YIELD, FLUSH], Whose::Mine)?.and(CHANGE)?;
    memory.discard(0..memory.size())?;
    let (mut zapped, mut owed, mut settled) = (false, false, false);
    for line in probes.trace()?.lines() {
        if line.contains(": on0:") {
            ensure!(
                !owed,
                "mmu_lock was given up, and a page that was zapped is in TLBs"
            );
            settled |= zapped;
        } else if line.contains(": on1:") {
            owed = false;
        } else if line.contains("spte_changed:") {
            (zapped, owed) = (true, true);
        }
    }
    ensure!(zapped, "the page was not mapped");
    Ok(settled)
}
