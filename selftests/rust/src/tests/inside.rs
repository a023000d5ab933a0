// SPDX-License-Identifier: GPL-2.0

//! The map of a VM's page tables shows what the guest and the host did, on C as on Rust, and the
//! check finds nothing wrong.

use super::{mixed, test};
use crate::clock::repeat;
use crate::harness::Test;
use anyhow::{ensure, Context, Result};
use kvm_bindings::KVM_MEM_LOG_DIRTY_PAGES as LOG;
use kvmtest::backend::{self, C, RUST};
use kvmtest::beside::beside;
use kvmtest::guest;
use kvmtest::inside::Inside;
use kvmtest::memory::{Backing, Memory, MIB, PAGE_2M, PAGE_4K};
use kvmtest::module;
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{eager_split, Slot, Vm, BASE};
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

pub const TESTS: &[Test] = &[
    test("inside_map", map),
    mixed("inside_same_on_both", same_on_both),
    test("inside_while_busy", while_busy),
    test("inside_root_only", root_only),
    mixed("inside_open_file_holds_module", open_file_holds_module),
];

/// Emulated MMIO, right behind the memory.
const MMIO: u64 = BASE + 2 * PAGE_2M;

/// What the map shows after each step of [`steps`], behind the page with the guest's program.
const AFTER: [&[&str]; 5] = [
    &["absent", "0x40000-0x401ff 2M 1 RWXADMH", "absent"],
    &["absent", "0x40000-0x401ff 4K 512 R-XADMH", "absent"],
    &[
        "absent",
        "0x40000-0x40002 4K 3 RWXADMH",
        "0x40003-0x401ff 4K 509 R-XADMH",
        "absent",
    ],
    &[
        "absent",
        "0x40000-0x40002 4K 3 RWXADMH",
        "0x40003-0x401ff 4K 509 R-XADMH",
        "absent",
        "0x40400-0x40400 4K 1 mmio",
        "absent",
    ],
    &["absent", "0x40400-0x40400 4K 1 mmio", "absent"],
];

/// A VM with 4M of memory, whose map `see` gets after each step.
fn steps(backend: &str, mut see: impl FnMut(usize, &Vm) -> Result<()>) -> Result<()> {
    let memory = Memory::new(2 * PAGE_2M, Backing::Huge)?;
    let slot = Slot::of(&memory);
    let _split = eager_split(true)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    let map = vm.inside.map()?;
    ensure!(map.is_empty(), "a VM that never ran has {map:?}");
    let mut next = 0..;
    let mut see = |vm: &Vm| {
        vm.inside.is_sound()?;
        see(next.next().unwrap_or_default(), vm)
    };
    vcpu.fill(&(BASE..BASE + PAGE_2M), 1)?;
    see(&vm)?;
    vm.set(&slot, LOG)?;
    see(&vm)?;
    vcpu.fill(&(BASE..BASE + 3 * PAGE_4K), 2)?;
    see(&vm)?;
    vcpu.probe(MMIO, 3)?;
    see(&vm)?;
    memory.discard(0..PAGE_2M)?;
    see(&vm)
}

/// The lines of the only root, but for that of the guest's program.
fn lines(map: &[String]) -> Option<Vec<&str>> {
    let (root, runs) = map.split_first()?;
    let (program, runs) = runs.split_first()?;
    let plain = runs.iter().map(|line| match line.trim() {
        line if line.ends_with(" absent") => "absent",
        line => line,
    });
    let known = root.starts_with("root ") && program == "  0x0-0x0 4K 1 RWXADMH";
    known.then(|| plain.collect())
}

fn map(backend: &str) -> Result<()> {
    steps(backend, |step, vm| {
        let map = vm.inside.map()?;
        let wanted = AFTER[step];
        ensure!(
            lines(&map).is_some_and(|found| found == wanted),
            "after step {step}: {map:#?} instead of {wanted:#?}"
        );
        Ok(())
    })
}

fn same_on_both(chosen: &str) -> Result<()> {
    let _choice = backend::choose_for_now(chosen)?;
    let mut maps = [C, RUST].map(|_| Vec::new());
    for (backend, maps) in [C, RUST].into_iter().zip(&mut maps) {
        steps(backend, |_, vm| {
            maps.push(vm.inside.map()?);
            Ok(())
        })?;
    }
    let [on_c, on_rust] = maps;
    ensure!(on_c == on_rust, "C: {on_c:#?}, Rust: {on_rust:#?}");
    Ok(())
}

/// Readers next to a guest that writes, a log that goes on and off, memory that goes, and a slot
/// that comes and goes.
fn while_busy(backend: &str) -> Result<()> {
    let memory = Memory::new(4 * PAGE_2M, Backing::Huge)?;
    let slot = Slot::of(&memory);
    let other = Memory::new(MIB, Backing::Small)?;
    let passing = Slot {
        id: slot.id + 1,
        gpa: BASE + 64 * MIB,
        ..Slot::of(&other)
    };
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    let second = vm.vcpu(1)?;
    let scatter = guest::scatter(BASE, memory.pages(PAGE_4K), 0, 7, u32::MAX);
    let read = || read_both(backend, &vm.inside);
    let change = |token: u32| {
        vm.set(&slot, if token % 2 == 0 { LOG } else { 0 })?;
        vm.set(&passing, 0)?;
        second.populate(&passing.range())?;
        let place = u64::from(token) * PAGE_2M % memory.size();
        memory.discard(place..place + PAGE_2M)?;
        vm.delete(&passing)
    };
    beside(3, read, || {
        vm.during(&mut [(&mut vcpu, scatter)], || repeat(2000, 8, change))
    })
    .map(drop)
}

/// Reads both files. What they say of logs may be wrong while a guest runs: on C, the fast path marks a page after it
/// has let the guest write to it, and a processor's own log comes later than the bit that it has set.
fn read_both(backend: &str, inside: &Inside) -> Result<()> {
    let map = inside.map()?;
    let strange = map
        .iter()
        .find(|line| !line.starts_with("root ") && !line.starts_with("  0x"));
    ensure!(strange.is_none(), "a strange line: {strange:?}");
    let may_be_wrong = |line: &str| {
        line.starts_with("dirty and clean in the log")
            || backend != RUST && line.starts_with("writable and clean in the log")
    };
    let mut wrong = inside.wrong()?.unwrap_or_default();
    wrong.retain(|line| !may_be_wrong(line));
    ensure!(wrong.is_empty(), "mmu_check: {}", wrong.join("; "));
    Ok(())
}

/// The files say which memory of the host a guest has.
fn root_only(backend: &str) -> Result<()> {
    let vm = Vm::new(backend)?;
    for name in ["mmu_map", "mmu_check"] {
        let path = vm.inside.path(name);
        let found = fs::metadata(&path).with_context(|| path.clone())?;
        let (mode, owner) = (found.mode() & 0o7777, found.uid());
        ensure!(
            (mode, owner) == (0o400, 0),
            "{path} has mode {mode:o} and owner {owner}"
        );
    }
    Ok(())
}

/// A file that is open keeps the module and the VM, whoever's VM it is.
fn open_file_holds_module(chosen: &str) -> Result<()> {
    let _choice = backend::choose_for_now(chosen)?;
    let references = || module::references(module::NAME);
    let before = references()?;
    let memory = Memory::new(MIB, Backing::Small)?;
    let (vm, mut vcpu): (Vm, Vcpu) = Vm::with(C, &memory)?;
    vcpu.fill(&Slot::of(&memory).range(), 1)?;
    let alive = backend::count(C)?.alive;
    let mut file = vm.inside.open_map()?;
    ensure!(
        references()? == before + 1,
        "an open file does not hold the module"
    );
    let unloaded = module::unload(module::NAME);
    ensure!(
        unloaded.is_err_and(|error| error.raw_os_error() == Some(libc::EWOULDBLOCK)),
        "the module can be unloaded under an open file"
    );
    drop((vm, vcpu));
    let mut map = String::new();
    file.read_to_string(&mut map)?;
    ensure!(
        map.contains(" 4K 256 RWX"),
        "the VM is gone under an open file: {map}"
    );
    drop(file);
    ensure!(
        backend::count(C)?.alive == alive - 1 && references()? == before,
        "the file left something"
    );
    Ok(())
}
