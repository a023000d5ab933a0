// SPDX-License-Identifier: GPL-2.0

//! The cache through which the kernel writes to pages of a guest's: when it looks a page up again
//! ("refreshes"), and for whom it waits then.

use super::{interrupt_at_once, reported, test};
use crate::clock::wait_for;
use crate::harness::{Skip, Test};
use crate::hostage;
use crate::torture;
use anyhow::{bail, ensure, Context, Result};
use kvmtest::backend::RUST;
use kvmtest::beside::beside;
use kvmtest::device::Device;
use kvmtest::kernel_log::KernelLog;
use kvmtest::memory::{Backing, Memory, MIB, PAGE_4K};
use kvmtest::probes::{Probes, Whose};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Vm, BASE};
use kvmtest::xen::{self, Area};
use std::collections::HashSet;
use std::sync::Mutex;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    test("gpc_whose", whose),
    reported("07-inactive-cache", "gpc_refresh_inactive", inactive),
    test("gpc_no_struct_page", no_struct_page),
    test("gpc_refresh_elsewhere", elsewhere),
    reported("08-cache-waits", "gpc_refresh_killed", killed),
    Test {
        timeout: 120,
        ..test("gpc_torture", |backend| torture::run(backend, TORTURE, 1))
    },
];

/// What C does for a cache: looks its page up, takes it away in an invalidation, lets go of it.
const C_CACHE: [&str; 3] = [
    "kvm:__kvm_gpc_refresh",
    "kvm:gfn_to_pfn_cache_invalidate_start",
    "kvm:gpc_unmap",
];
const PORT: u32 = 5;
/// Threads that take memory away at the same time.
const STORMS: usize = 4;
/// How long they go on. Without an end of theirs, C would not end either.
const STORM: Duration = Duration::from_secs(5);
/// More than a moment's: the storms may all be between two invalidations just then.
const REFRESHES: u64 = 50;
/// Seconds.
const TORTURE: u64 = 12;
/// The shared page, the clock, and the vCPU's own page.
const PAGES_OF_KERNEL: u64 = 3;
/// How often the pages move to other frames and back.
const MOVES: u32 = 4;
/// How often to try what a busy host may prevent.
const ROUNDS: usize = 8;

/// A recipe for one warning.
type Recipe = fn(&Vm, &mut Vcpu) -> Result<()>;

/// A cache that is not in use is not refreshed, and the kernel does not warn about it.
fn inactive(backend: &str) -> Result<()> {
    let recipes: [Recipe; 2] = [no_shared_page, no_page_of_vcpu];
    let mut warnings = Vec::new();
    for recipe in recipes {
        let memory = Memory::new(2 * PAGE_4K, Backing::Small)?;
        let (vm, mut vcpu) = Vm::with(backend, &memory)?;
        xen::enable(&vm)?;
        let mut log = KernelLog::from_now()?;
        recipe(&vm, &mut vcpu)?;
        warnings.extend(log.warnings()?);
    }
    ensure!(warnings.is_empty(), "the kernel warns: {warnings:?}");
    Ok(())
}

/// There is no page for the event.
fn no_shared_page(vm: &Vm, _: &mut Vcpu) -> Result<()> {
    let refused = xen::send(vm, PORT).err().context("an event was sent")?;
    ensure!(
        refused.raw_os_error() == Some(libc::EINVAL),
        "sending an event: {refused}"
    );
    Ok(())
}

/// The event gets to its page, but then to none of the vCPU's. The vCPU looks for one at its next exit.
fn no_page_of_vcpu(vm: &Vm, vcpu: &mut Vcpu) -> Result<()> {
    xen::set_shared_page(vm, BASE)?;
    xen::send(vm, PORT).context("sending an event")?;
    vcpu.fill(&(BASE + PAGE_4K..BASE + 2 * PAGE_4K), 1)
}

/// Threads of this process are in the middle of invalidations all the time, but the cache's page is in
/// none of them: it is looked up once, or once more. C looks it up thousands of times
/// (docs/upstream/08-cache-waits.md), but not where a busy machine keeps the threads apart.
fn elsewhere(backend: &str) -> Result<()> {
    if !Probes::work_here() {
        bail!(Skip("the kernel has no kprobes".into()));
    }
    let other = Memory::new(8 * MIB, Backing::Small)?;
    let memory = Memory::new(2 * PAGE_4K, Backing::Small)?;
    let (_vm, vcpu) = Vm::with(backend, &memory)?;
    let _preempt = interrupt_at_once()?;
    let lookups = Probes::new(&["kvm:hva_to_pfn"], Whose::Mine)?;
    let begun = Mutex::new(HashSet::new());
    let begin = Instant::now();
    let storm = || {
        begun
            .lock()
            .expect("no panics here")
            .insert(thread::current().id());
        if begin.elapsed() < STORM {
            return other.advise(0..other.size(), libc::MADV_FREE);
        }
        sleep(Duration::from_millis(1));
        Ok(())
    };
    let most = beside(STORMS, storm, || {
        wait_for("all storms", || {
            Ok(begun.lock().expect("no panics here").len() == STORMS)
        })?;
        let mut most = 0;
        for number in 0..REFRESHES {
            let before = lookups.calls()?;
            let page = BASE + number % 2 * PAGE_4K;
            xen::set_area(&vcpu, Area::Info, Some(page)).context("moving a page")?;
            most = most.max(lookups.calls()? - before);
        }
        Ok(most)
    })?;
    let expected = if backend == RUST { 1..=2 } else { 1..=u64::MAX };
    ensure!(
        expected.contains(&most),
        "{most} lookups of a page instead of one"
    );
    Ok(())
}

/// A process that waits for the invalidation of the page itself can be killed meanwhile.
fn killed(backend: &str) -> Result<()> {
    let _preempt = interrupt_at_once()?;
    for _ in 0..ROUNDS {
        let memory = Memory::new(4 * MIB, Backing::Small)?;
        let (_vm, vcpu) = Vm::with(backend, &memory)?;
        let refresh = || xen::set_area(&vcpu, Area::Info, Some(BASE)).is_ok();
        let storm = || memory.advise(0..memory.size(), libc::MADV_FREE);
        if let Some(died) = hostage::dies(storm, &refresh)? {
            ensure!(died, "a refresh that waits cannot be killed");
            return Ok(());
        }
    }
    bail!(Skip("no invalidation could be held up".into()))
}

/// The pages are in frames that have no struct page, then in others, and so on. The kernel has to map the former for
/// itself, and lets go of all of them.
fn no_struct_page(backend: &str) -> Result<()> {
    let Some(device) = Device::find()? else {
        bail!(Skip("no PCI device without a driver has memory".into()));
    };
    let before = device.mapped_by_kernel()?;
    let memory = Memory::new((PAGES_OF_KERNEL + 1) * PAGE_4K, Backing::Small)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    xen::enable(&vm)?;
    xen::set_shared_page(&vm, BASE)?;
    vcpu.set_clock(BASE + PAGE_4K)?;
    xen::set_area(&vcpu, Area::Info, Some(BASE + 2 * PAGE_4K))?;
    for _ in 0..MOVES {
        memory.replace_by(0..memory.size(), &device.file)?;
        use_pages(&memory, &vm, &mut vcpu).context("without struct pages")?;
        let mapped = device.mapped_by_kernel()? - before;
        ensure!(mapped == PAGES_OF_KERNEL as usize, "{mapped} are mapped");
        memory.replace(0..memory.size())?;
        use_pages(&memory, &vm, &mut vcpu).context("with struct pages")?;
    }
    memory.replace_by(0..memory.size(), &device.file)?;
    use_pages(&memory, &vm, &mut vcpu)?;
    drop((vcpu, vm));
    wait_for("the end of all mappings", || {
        Ok(device.mapped_by_kernel()? == before)
    })
}

/// The kernel writes to each of its three pages, and the guest to the fourth.
fn use_pages(memory: &Memory, vm: &Vm, vcpu: &mut Vcpu) -> Result<()> {
    let (clock, info) = (PAGE_4K, 2 * PAGE_4K);
    for place in [
        xen::PENDING,
        clock,
        info + xen::UPCALL,
        info + xen::SELECTOR,
    ] {
        memory.store(place, 0);
    }
    xen::send(vm, PORT).context("sending an event")?;
    vcpu.fd.kvmclock_ctrl().context("KVM_KVMCLOCK_CTRL")?;
    vcpu.fill(&(BASE + PAGES_OF_KERNEL * PAGE_4K..BASE + memory.size()), 1)?;
    let pending = memory.load(xen::PENDING);
    ensure!(pending == 1 << PORT, "events in the page: {pending:#x}");
    ensure!(memory.load(info + xen::UPCALL) & 0xff == 1, "no upcall");
    ensure!(memory.load(clock) != 0, "no clock");
    Ok(())
}

/// A VM on Rust never gets into what C does for a cache, and one on C does.
fn whose(backend: &str) -> Result<()> {
    if !Probes::work_here() {
        bail!(Skip("the kernel has no kprobes".into()));
    }
    let calls = Probes::new(&C_CACHE, Whose::All)?;
    use_caches(backend)?;
    let calls = calls.calls()?;
    let mine = backend != RUST;
    ensure!(mine == (calls > 0), "{calls} calls on {backend}");
    Ok(())
}

/// Pages for the kernel to write to come, are written to, are taken away, move and go.
fn use_caches(backend: &str) -> Result<()> {
    let memory = Memory::new(4 * PAGE_4K, Backing::Small)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    xen::enable(&vm)?;
    xen::set_shared_page(&vm, BASE)?;
    vcpu.set_clock(BASE + PAGE_4K)?;
    for area in [Area::Info, Area::Time, Area::Runstate] {
        xen::set_area(&vcpu, area, Some(BASE + 2 * PAGE_4K))?;
    }
    for round in 1..4 {
        vcpu.fd.kvmclock_ctrl().context("KVM_KVMCLOCK_CTRL")?;
        vcpu.fill(&(BASE + 3 * PAGE_4K..BASE + 4 * PAGE_4K), round)?;
        xen::send(&vm, PORT).context("sending an event")?;
        memory.discard(0..memory.size())?;
        xen::set_area(&vcpu, Area::Info, Some(BASE + PAGE_4K))?;
    }
    xen::set_area(&vcpu, Area::Info, None).context("giving a page up")
}
