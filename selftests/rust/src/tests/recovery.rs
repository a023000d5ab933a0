// SPDX-License-Identifier: GPL-2.0

//! Huge pages that dirty logging split come back when logging ends.

use super::{is_mapped, no_faults, test};
use crate::clock::{repeat, wait_for};
use crate::harness::{Skip, Test};
use anyhow::{bail, ensure, Result};
use kvm_bindings::KVM_MEM_LOG_DIRTY_PAGES as LOG;
use kvmtest::guest::{self, Pattern, Program};
use kvmtest::memory::{Backing, Memory, MIB, PAGE_1G, PAGE_2M, PAGE_4K};
use kvmtest::sysfs;
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{eager_split, Slot, Vm, BASE};

pub const TESTS: &[Test] = &[
    test("recovery_2m", |backend| {
        whole(backend, 32 * MIB, Backing::Huge, PAGE_4K)
    }),
    test("recovery_1g", recovery_1g),
    test("recovery_of_what_can", of_what_can),
    test("recovery_races_writes", races_writes),
    test("recovery_races_zaps", races_zaps),
];

/// The page that holds the programs.
const CODE_PAGES: u64 = 1;

/// No small page is left of a slot of huge pages, and nothing faults on what there is then.
///
/// The guest uses a page every `stride` bytes.
fn whole(backend: &str, size: u64, backing: Backing, stride: u64) -> Result<()> {
    let memory = Memory::new(size, backing)?;
    let slot = Slot::of(&memory);
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    let _split = eager_split(true)?;
    let go_over = |vcpu: &mut Vcpu, program, round| {
        let regs = guest::pass(program, &slot.range(), stride, Pattern::Distinct, round);
        vcpu.run(&regs).map(drop)
    };

    go_over(&mut vcpu, Program::Fill, 1)?;
    let huge = if backing == Backing::Gigantic {
        [CODE_PAGES, 0, size / PAGE_1G]
    } else {
        [CODE_PAGES, size / PAGE_2M, 0]
    };
    is_mapped(&vm, "before logging", huge)?;
    vm.set(&slot, LOG)?;
    is_mapped(&vm, "while logging", [CODE_PAGES + size / PAGE_4K, 0, 0])?;
    go_over(&mut vcpu, Program::Check, 1)?;
    go_over(&mut vcpu, Program::Fill, 2)?;
    vm.set(&slot, 0)?;
    is_mapped(&vm, "after logging", huge)?;
    no_faults(&mut vcpu, |vcpu| {
        go_over(vcpu, Program::Check, 2)?;
        go_over(vcpu, Program::Fill, 3)?;
        go_over(vcpu, Program::Check, 3)
    })
}

fn recovery_1g(backend: &str) -> Result<()> {
    if !sysfs::read("/proc/cpuinfo")?.contains("pdpe1gb") {
        bail!(Skip("the processor has no pages of 1G".into()));
    }
    if sysfs::number("/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages")? == 0 {
        bail!(Skip(
            "no page of 1G is free (boot with hugepagesz=1G hugepages=1)".into()
        ));
    }
    whole(backend, PAGE_1G, Backing::Gigantic, 16 * PAGE_4K)
}

/// Where the host has split its own huge page, the guest's small pages stay.
fn of_what_can(backend: &str) -> Result<()> {
    const SPLIT: u64 = 3 * PAGE_2M;
    let memory = Memory::new(8 * PAGE_2M, Backing::Huge)?;
    let slot = Slot::of(&memory);
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    let _split = eager_split(true)?;

    vm.set(&slot, LOG)?;
    vcpu.fill(&slot.range(), 1)?;
    is_mapped(&vm, "while logging", [CODE_PAGES + 8 * 512, 0, 0])?;
    // The host gives one page of 4K back. To split its huge page it takes all of that from the guest.
    memory.discard(SPLIT..SPLIT + PAGE_4K)?;
    is_mapped(&vm, "without 2M", [CODE_PAGES + 7 * 512, 0, 0])?;
    vcpu.check(&(BASE + SPLIT + PAGE_4K..BASE + SPLIT + PAGE_2M), 1)?;
    is_mapped(&vm, "without 4K", [CODE_PAGES + 8 * 512 - 1, 0, 0])?;
    vm.set(&slot, 0)?;
    is_mapped(&vm, "after logging", [CODE_PAGES + 511, 7, 0])?;
    ensure!(
        memory.load(SPLIT) == 0,
        "the page that was given back has content"
    );
    no_faults(&mut vcpu, |vcpu| {
        vcpu.check(&(BASE..BASE + SPLIT), 1)?;
        vcpu.check(&(BASE + SPLIT + PAGE_4K..slot.range().end), 1)
    })
}

/// Two vCPUs write while logging goes on and off: each word they find is the last they wrote.
fn races_writes(backend: &str) -> Result<()> {
    let memory = Memory::new(16 * PAGE_2M, Backing::Huge)?;
    let slot = Slot::of(&memory);
    let (vm, mut first) = Vm::with(backend, &memory)?;
    let mut second = vm.vcpu(1)?;
    let _split = eager_split(true)?;

    first.fill(&slot.range(), 1)?;
    let half = BASE + slot.size / 2;
    let advance = |range| guest::pass(Program::Advance, &range, PAGE_4K, Pattern::Distinct, 1);
    let mut guests = [
        (&mut first, advance(BASE..half)),
        (&mut second, advance(half..slot.range().end)),
    ];
    let (_, ended) = vm.during(&mut guests, || log_on_and_off(&vm, &slot, 1500))?;
    first.check(&(BASE..half), ended[0].rax as u32)?;
    second.check(&(half..slot.range().end), ended[1].rax as u32)?;
    is_mapped(&vm, "in the end", [vm.mapped()?[0], 16, 0])
}

/// One vCPU writes to memory that stays. Another uses memory that is zapped under it, in places
/// where huge pages are just being recovered: it must see what is there now.
fn races_zaps(backend: &str) -> Result<()> {
    const KEPT: u64 = 4 * PAGE_2M;
    let memory = Memory::new(8 * PAGE_2M, Backing::Huge)?;
    let slot = Slot::of(&memory);
    let (vm, mut writer) = Vm::with(backend, &memory)?;
    let mut reader = vm.vcpu(1)?;
    let _split = eager_split(true)?;

    writer.fill(&(BASE..BASE + KEPT), 1)?;
    let kept = BASE..BASE + KEPT;
    let advance = guest::pass(Program::Advance, &kept, PAGE_4K, Pattern::Distinct, 1);
    let zapped = BASE + KEPT..slot.range().end;
    let echo = guest::pass(Program::Echo, &zapped, 32 * PAGE_4K, Pattern::Same, 0);
    let mut guests = [(&mut writer, advance), (&mut reader, echo)];
    let (_, ended) = vm.during(&mut guests, || {
        std::thread::scope(|scope| {
            let zaps = scope.spawn(|| zap_and_look(&memory, KEPT, 2000));
            log_on_and_off(&vm, &slot, 2000)?;
            zaps.join().expect("nothing panics here")
        })
    })?;
    writer.check(&kept, ended[0].rax as u32)
}

fn log_on_and_off(vm: &Vm, slot: &Slot, millis: u64) -> Result<()> {
    repeat(millis, 5, |_| {
        vm.set(slot, LOG)?;
        vm.set(slot, 0)
    })
}

/// Takes huge pages away in turn, by both ways of doing so, and demands that the guest sees the
/// new ones.
fn zap_and_look(memory: &Memory, start: u64, millis: u64) -> Result<()> {
    let pages = (memory.size() - start) / PAGE_2M;
    repeat(millis, 2 * pages as u32 + 1, |token| {
        let place = start + u64::from(token) % pages * PAGE_2M;
        let range = place..place + PAGE_2M;
        if u64::from(token) / pages % 2 == 0 {
            memory.discard(range)?;
        } else {
            memory.replace(range.clone())?;
            memory.advise(range, libc::MADV_HUGEPAGE)?;
        }
        memory.store(place, token);
        wait_for("the guest sees the new page", || {
            Ok(memory.load(place + 4) == token)
        })
    })
}
