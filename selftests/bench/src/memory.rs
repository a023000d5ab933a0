// SPDX-License-Identifier: GPL-2.0

//! What VMs hold of the host's memory, beside the guests' own.

use crate::held::Held;
use anyhow::Result;
use kvmtest::memory::{Backing, Memory, MIB, PAGE_1G, PAGE_4K};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Slot, Vm, BASE};
use serde::Serialize;

/// VMs that are there already when those that count are made: allocators have empty places in the
/// beginning, which would make the first VMs cheap.
const BEFORE: usize = 16;
/// VMs that count.
const VMS: usize = 64;
/// What is mapped of a GiB: all of one takes an emulator minutes.
const PART: u64 = 256 * MIB;

#[derive(Serialize)]
struct Line<'a> {
    backend: &'a str,
    what: &'a str,
    /// Bytes of each.
    all: f64,
    /// Of these, page tables.
    tables: f64,
}

/// Reports what a VM holds on each backend, and what each GiB that it maps adds.
pub fn report(backends: &[&str]) -> Result<()> {
    for backend in backends {
        vms(backend)?;
        gibibyte(backend, "GiB of 4K pages", Backing::Small)?;
        gibibyte(backend, "GiB of 2M pages", Backing::Huge)?;
    }
    Ok(())
}

/// A VM, a vCPU in it, and what the first page takes that the guest uses.
fn vms(backend: &str) -> Result<()> {
    let memory = Memory::new(MIB, Backing::Small)?;
    let with = |_| Vm::with(backend, &memory);
    let _before: Vec<(Vm, Vcpu)> = (0..BEFORE).map(with).collect::<Result<_>>()?;
    let vms = each(backend, "VM", (0..VMS).collect(), |_| Vm::new(backend))?;
    let vcpus = each(backend, "vCPU", vms.iter().collect(), |vm| vm.vcpu(0))?;
    for vm in &vms {
        vm.set(&Slot::of(&memory), 0)?;
    }
    each(backend, "first page", vcpus.iter().collect(), |vcpu| {
        vcpu.populate(&(BASE..BASE + PAGE_4K))
    })
    .map(drop)
}

/// Does something with each of these, and reports what it takes on average.
fn each<T, U>(
    backend: &str,
    what: &str,
    items: Vec<T>,
    work: impl Fn(T) -> Result<U>,
) -> Result<Vec<U>> {
    let before = Held::settled()?;
    let count = items.len() as f64;
    let made = items.into_iter().map(work).collect::<Result<_>>()?;
    line(backend, what, Held::settled()? - before, count)?;
    Ok(made)
}

fn gibibyte(backend: &str, what: &str, backing: Backing) -> Result<()> {
    let memory = Memory::new(PART, backing)?;
    let (vm, vcpu) = Vm::with(backend, &memory)?;
    // The root, and what the vCPU keeps in store.
    vcpu.populate(&(0..PAGE_4K))?;
    let before = Held::settled()?;
    vcpu.populate(&Slot::of(&memory).range())?;
    let gibibytes = PART as f64 / PAGE_1G as f64;
    line(backend, what, Held::settled()? - before, gibibytes)?;
    drop((vcpu, vm));
    Ok(())
}

fn line(backend: &str, what: &str, held: Held, count: f64) -> Result<()> {
    let line = Line {
        backend,
        what,
        all: held.all as f64 / count,
        tables: held.tables as f64 / count,
    };
    println!("{}", serde_json::to_string(&line)?);
    Ok(())
}
