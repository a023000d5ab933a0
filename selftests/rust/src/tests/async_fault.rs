// SPDX-License-Identifier: GPL-2.0

//! Asynchronous page faults: while the host gets a page, its vCPU waits outside of the fault.
//!
//! KVM does so for a vCPU with a local APIC. A task of the kernel waits for the page, and has KVM map it
//! before the vCPU goes on. The guest does not take part here: KVM halts it meanwhile. If it did, an exception
//! would tell it, for which these programs have neither a table nor a stack. What the TDP MMU does is the
//! same.
//!
//! Swapped pages would come back at once, as swap is in memory. So the page is missing, and this
//! process makes it.

use super::userfault::{answered, once_each};
use super::{alone_and_beside_other_slot, long};
use crate::harness::Test;
use anyhow::{ensure, Context, Result};
use kvmtest::guest::{self, Pattern, Program};
use kvmtest::memory::{Memory, MIB, PAGE_4K};
use kvmtest::probes::{Probes, Whose};
use kvmtest::userfault::{Kind, Userfault};
use kvmtest::vm::{Slot, Vm, BASE};

pub const TESTS: &[Test] = &[long("async_fault", missing)];

/// How often all pages are made.
const ROUNDS: u64 = 4;
/// KVM maps a page for which a task has waited.
const READY: &str = "kvm:kvm_arch_async_page_ready";

fn missing(backend: &str) -> Result<()> {
    let memory = Memory::untouched(MIB)?;
    let faults = Userfault::of(&memory, Kind::Missing)?;
    let vm = Vm::new(backend)?;
    vm.fd.create_irq_chip().context("making an APIC")?;
    vm.set(&Slot::of(&memory), 0)?;
    let mut vcpu = vm.vcpu(0)?;
    let range = Slot::of(&memory).range();
    let word = |place| Pattern::Distinct.word(BASE + place, 1);
    let check = guest::pass(Program::Confirm, &range, PAGE_4K, Pattern::Distinct, 1);
    let ready = Probes::work_here().then(|| Probes::new(&[READY], Whose::All));
    let ready = ready.transpose()?;
    alone_and_beside_other_slot(&vm, || {
        answered(
            &faults,
            |place| faults.give(place, word(place)),
            |asked| {
                (0..ROUNDS).try_for_each(|_| {
                    memory.discard(0..MIB)?;
                    vcpu.run(&check)?;
                    once_each(asked, 0..MIB)
                })
            },
        )
    })?;
    let pages = 2 * ROUNDS * memory.pages(PAGE_4K);
    let calls = ready.map_or(Ok(pages), |ready| ready.calls())?;
    ensure!(calls == pages, "{calls} of {pages} faults are asynchronous");
    Ok(())
}
