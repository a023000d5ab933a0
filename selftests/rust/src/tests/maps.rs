// SPDX-License-Identifier: GPL-2.0

//! The map of page tables, held against what the guest itself finds: it faults where the map says
//! that it cannot write, and nowhere else.

use super::{four_levels, test};
use crate::harness::{Skip, Test};
use anyhow::{bail, ensure, Context, Result};
use kvm_bindings::KVM_MEM_LOG_DIRTY_PAGES as LOG;
use kvmtest::guest;
use kvmtest::inside::Run;
use kvmtest::memory::{Backing, Memory, MIB, PAGE_1G, PAGE_2M, PAGE_4K};
use kvmtest::sysfs;
use kvmtest::vm::{eager_split, Slot, Vm, BASE};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    test("map_tells_where_small_pages_fault", small),
    test("map_tells_where_huge_pages_fault", huge),
    test("map_of_gigantic_page", gigantic),
    test("map_of_sparse_terabyte", terabyte),
    test("map_of_five_levels", |backend| of_levels(backend, 5)),
    four_levels("map_of_four_levels", |backend| of_levels(backend, 4)),
];

/// Pages that the guest writes to in the end.
const TRIED: usize = 150;

/// What the only root of an address space maps.
pub fn runs(map: &[String], space: u8) -> Result<Vec<Run>> {
    let of_space = format!(" as_id={space} ");
    let mut lines = map.iter().skip_while(|line| !line.contains(&of_space));
    lines.next().context("the address space has no root")?;
    let lines = lines.take_while(|line| !line.starts_with("root "));
    let mapped = lines.filter(|line| !line.ends_with(" absent"));
    let run = |line: &String| Run::of(line).context(line.clone());
    mapped.map(run).collect()
}

/// Whether the map says that the guest can write to `frame`.
fn is_writable(runs: &[Run], frame: u64) -> bool {
    let mut writable = runs.iter().filter(|run| run.is_writable());
    writable.any(|run| run.frames.contains(&frame))
}

/// Memory after some history: pages that were never used, logged and clean, logged and written
/// again, taken away. Then the guest writes to some of them.
fn faults_where_told(backend: &str, backing: Backing, discarded: usize) -> Result<()> {
    let memory = Memory::new(2 * PAGE_2M, backing)?;
    let slot = Slot::of(&memory);
    let pages = memory.pages(PAGE_4K);
    let _split = eager_split(true)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    vcpu.scatter(BASE, pages, 0, 1, 600)?;
    vm.set(&slot, LOG)?;
    vcpu.scatter(BASE, pages, 0, 2, 400)?;
    for page in guest::scattered(pages, 3).take(discarded) {
        memory.discard(page * PAGE_4K..(page + 1) * PAGE_4K)?;
    }
    let mut map = runs(&vm.inside.map()?, 0)?;
    let mut faulted = 0;
    for page in guest::scattered(pages, 4).take(TRIED) {
        let gpa = BASE + page * PAGE_4K;
        let told = !is_writable(&map, gpa / PAGE_4K);
        let faults = vcpu.faults_of(|vcpu| vcpu.fill(&(gpa..gpa + PAGE_4K), 1))?;
        ensure!(
            told == (faults != 0),
            "{faults} faults at {gpa:#x}, and the map is {map:x?}"
        );
        // A fault may map more than the page.
        if faults != 0 {
            map = runs(&vm.inside.map()?, 0)?;
            faulted += 1;
        }
    }
    ensure!((1..TRIED).contains(&faulted), "{faulted} pages faulted");
    Ok(())
}

fn small(backend: &str) -> Result<()> {
    faults_where_told(backend, Backing::Small, 100)
}

/// Without one of its pages, the host splits a huge page, and KVM maps nothing of it any more.
fn huge(backend: &str) -> Result<()> {
    faults_where_told(backend, Backing::Huge, 1)
}

fn gigantic(backend: &str) -> Result<()> {
    let free = "/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages";
    if sysfs::number(free)? == 0 {
        bail!(Skip(
            "no page of 1G is free (boot with hugepagesz=1G hugepages=1)".into()
        ));
    }
    let memory = Memory::new(PAGE_1G, Backing::Gigantic)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    vcpu.fill(&(BASE..BASE + PAGE_4K), 1)?;
    let map = runs(&vm.inside.map()?, 0)?;
    let last = map.last().context("nothing is mapped")?;
    let frames = BASE / PAGE_4K..(BASE + PAGE_1G) / PAGE_4K;
    ensure!(
        last.frames == frames && last.size == "1G" && last.is_writable(),
        "the map is {map:x?}"
    );
    Ok(())
}

/// A slot of nearly 1 TiB, which is what guests of an emulated processor can address. A few pages
/// of it are there: the map has these, and neither file takes long.
fn terabyte(backend: &str) -> Result<()> {
    const END: u64 = 1 << 40;
    const LIMIT: Duration = Duration::from_secs(5);
    let memory = Memory::untouched(END - BASE)?;
    let vm = Vm::new(backend)?;
    vm.set(&Slot::of(&memory), 0)?;
    let vcpu = vm.vcpu(0)?;
    let places = guest::scattered(END / MIB, 99).map(|place| place * MIB);
    let gpas: BTreeSet<u64> = places.filter(|gpa| *gpa >= BASE).take(100).collect();
    for gpa in &gpas {
        vcpu.populate(&(*gpa..gpa + PAGE_4K))?;
    }
    let begin = Instant::now();
    let map = vm.inside.map()?;
    vm.inside.is_sound()?;
    let time = begin.elapsed();
    let mapped = runs(&map, 0)?.into_iter().flat_map(|run| run.frames);
    let mapped: BTreeSet<u64> = mapped.map(|frame| frame * PAGE_4K).collect();
    ensure!(mapped == gpas, "mapped {mapped:x?} instead of {gpas:x?}");
    ensure!(map.len() <= 2 * gpas.len() + 2, "{} lines", map.len());
    ensure!(time < LIMIT, "{time:?} for {} pages", gpas.len());
    Ok(())
}

/// Where page tables have so many levels, near addresses and far ones are where the map says.
fn of_levels(backend: &str, levels: u32) -> Result<()> {
    let memory = Memory::new(MIB, Backing::Small)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    vcpu.fill(&(BASE..BASE + PAGE_4K), 1)?;
    let map = vm.inside.map()?;
    if !map[0].contains(&format!(" level={levels} ")) {
        bail!(Skip(format!(
            "no page tables of {levels} levels: {}",
            map[0]
        )));
    }
    small(backend)?;
    terabyte(backend)
}
