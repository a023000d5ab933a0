// SPDX-License-Identifier: GPL-2.0

//! Slots of up to 1 TiB in which hardly anything is there: what takes rights away passes much that is not mapped.
//!
//! How long that keeps others from the processor is measured as well. There must be no long stretch without a look
//! whether somebody waits, however little there is to do.

use crate::sample::{Kind, Samples};
use crate::vm::Vm;
use anyhow::{bail, ensure, Context, Result};
use kvmtest::debugfs;
use kvmtest::memory::{gigantic_file, Memory, Rights, PAGE_1G};
use kvmtest::sysfs::{Setting, HINTING};
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// The largest of the three is 1 TiB.
const FAR: u64 = 256 << 30;
/// So many times as large as the smallest.
const LARGEST: u64 = 4;
/// How often rights are taken away and given back, so that who looks for long stretches meets each part.
const TURNS: u32 = 1024;
/// The kernel looks for memory that is used on another node once in this time.
const APART: Duration = Duration::from_millis(1100);
/// No tick takes so long, and a walk through the smallest slot takes longer.
const SCAN: Duration = Duration::from_micros(200);
/// Longer than the kernel waits with it.
const PATIENCE: Duration = Duration::from_secs(5);

/// One small page in every 1G.
pub fn small(samples: &mut Samples) -> Result<()> {
    let (memory, vm) = one_in_each(samples)?;
    let pages = memory.pages(PAGE_1G);
    let rights = |rights| memory.protect(0..memory.size(), rights);
    samples.time("mprotect, far apart", "1g", Kind::Work, pages, || {
        rights(Rights::Read)
    })?;
    samples.time("mprotect, nothing left", "1g", Kind::Scan, pages, || {
        rights(Rights::All)
    })?;
    populate(&memory, &vm)?;
    samples.longest("mprotect, far apart", || rights(Rights::Read))?;
    samples.longest("mprotect, nothing left", || rights(Rights::All))?;
    vm.end();
    Ok(())
}

/// The kernel takes rights away to see which node uses the memory. It does so to a thread of its own: one that has
/// done so must run for long before it does so again.
pub fn hint(samples: &mut Samples) -> Result<()> {
    let (memory, vm) = one_in_each(samples)?;
    let pages = memory.pages(PAGE_1G);
    in_thread(|| {
        samples.counted("NUMA hint, far apart", "1g", Kind::Work, pages, || {
            Ok(((), scanned()?.as_nanos() as u64))
        })
    })?;
    populate(&memory, &vm)?;
    in_thread(|| samples.longest("NUMA hint, far apart", scanned).map(drop))?;
    vm.end();
    Ok(())
}

/// One page of 1G, and none in the rest of the slot. In the end nobody may use any of it.
pub fn gigantic(samples: &mut Samples) -> Result<()> {
    let memory = Memory::of_gigantic(file_of_gigantic()?, FAR * samples.scale)?;
    let pages = memory.pages(PAGE_1G);
    let rights = |rights| memory.protect(0..memory.size(), rights);
    memory.load(0);
    samples.time("mprotect, 1G in no slot", "1g", Kind::Work, pages, || {
        rights(Rights::None)
    })?;
    rights(Rights::All)?;
    let vm = Vm::new(samples.backend, &memory)?;
    one_is_there(&vm)?;
    samples.time("mprotect, 1G to none", "1g", Kind::Scan, pages, || {
        rights(Rights::None)
    })?;
    samples.time("mprotect, 1G from none", "1g", Kind::Scan, pages, || {
        rights(Rights::All)
    })?;
    samples.longest("mprotect, 1G to none", || {
        (0..TURNS).try_for_each(|_| {
            vm.populate_page(0)?;
            rights(Rights::None)?;
            rights(Rights::All)
        })
    })?;
    rights(Rights::None)?;
    samples.longest("mprotect, 1G from none", || {
        (0..TURNS).try_for_each(|_| {
            rights(Rights::Read)?;
            rights(Rights::None)
        })
    })?;
    vm.end();
    Ok(())
}

/// All use the same page: to clear one takes long.
fn file_of_gigantic() -> Result<&'static OwnedFd> {
    static FILE: OnceLock<OwnedFd> = OnceLock::new();
    if FILE.get().is_none() {
        let file = gigantic_file(FAR * LARGEST)?;
        FILE.get_or_init(|| file);
    }
    FILE.get().context("the file is there")
}

fn one_is_there(vm: &Vm) -> Result<()> {
    vm.populate_page(0)?;
    let [_, _, gigantic] = debugfs::held()?.pages;
    ensure!(gigantic == 1, "the guest has {gigantic} pages of 1G");
    Ok(())
}

fn one_in_each(samples: &Samples) -> Result<(Memory, Vm)> {
    let memory = Memory::untouched(FAR * samples.scale)?;
    let vm = Vm::new(samples.backend, &memory)?;
    populate(&memory, &vm)?;
    Ok((memory, vm))
}

/// Maps one small page in every 1G.
fn populate(memory: &Memory, vm: &Vm) -> Result<()> {
    let mut places = (0..memory.size()).step_by(PAGE_1G as usize);
    places.try_for_each(|place| vm.populate_page(place))
}

/// Does this in a new thread, for which the kernel soon looks.
fn in_thread(work: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    sleep(APART);
    let _hinting = Setting::all(&HINTING)?;
    thread::scope(|scope| scope.spawn(work).join().expect("it does not panic"))
}

/// Runs until the kernel has gone through this process's memory. How long that took: for this thread, time makes a
/// leap.
fn scanned() -> Result<Duration> {
    let begin = Instant::now();
    let mut before = begin;
    while before - begin < PATIENCE {
        let now = Instant::now();
        if now - before > SCAN {
            return Ok(now - before);
        }
        before = now;
    }
    bail!("the kernel does not go through the memory")
}
