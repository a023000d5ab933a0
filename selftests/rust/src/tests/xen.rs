// SPDX-License-Identifier: GPL-2.0

//! Guests that were made for Xen: who serves them.

use super::test;
use crate::harness::{Skip, Test};
use anyhow::{bail, ensure, Context, Result};
use kvmtest::backend::RUST;
use kvmtest::memory::{Backing, Memory, PAGE_4K};
use kvmtest::probes::{Probes, Whose};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Vm, BASE};
use kvmtest::xen::{self, Area};

pub const TESTS: &[Test] = &[test("xen_whose", whose)];

/// What C calls before it accesses a page that it shares with a guest.
const C_PIN: &str = "kvm:kvm_gpc_pin";
const PORT: u32 = 5;
const ROUNDS: u32 = 4;

/// C never accesses the shared pages of a VM on Rust, and does so for one on C. Both guests have their events.
fn whose(backend: &str) -> Result<()> {
    if !Probes::work_here() {
        bail!(Skip("the kernel has no kprobes".into()));
    }
    let memory = Memory::new(3 * PAGE_4K, Backing::Small)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    xen::enable(&vm)?;
    xen::set_shared_page(&vm, BASE)?;
    let calls = Probes::new(&[C_PIN], Whose::All)?;
    for round in 1..=ROUNDS {
        memory.discard(0..2 * PAGE_4K)?;
        // In other rounds the kernel has to look for the page when the vCPU is entered.
        if round % 2 == 1 {
            xen::set_area(&vcpu, Area::Info, Some(BASE + PAGE_4K)).context("placing an area")?;
        }
        has_event(&vm, &memory, &mut vcpu, round)?;
    }
    let (calls, mine) = (calls.calls()?, backend != RUST);
    ensure!(mine == (calls > 0), "{calls} calls on {backend}");
    Ok(())
}

/// An event gets to its guest by way of empty pages.
fn has_event(vm: &Vm, memory: &Memory, vcpu: &mut Vcpu, round: u32) -> Result<()> {
    xen::send(vm, PORT).context("sending an event")?;
    vcpu.fill(&(BASE + 2 * PAGE_4K..BASE + 3 * PAGE_4K), round)?;
    let seen = [
        memory.load(xen::PENDING),
        memory.load(PAGE_4K + xen::SELECTOR),
        memory.load(PAGE_4K + xen::UPCALL),
    ];
    ensure!(
        seen == [1 << PORT, 1, 1],
        "round {round}: the guest has {seen:?}"
    );
    Ok(())
}
