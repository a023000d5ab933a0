// SPDX-License-Identifier: GPL-2.0

//! What an invalidation costs others, and what may happen while it goes on.

use super::{interrupt_at_once, mixed, test};
use crate::beside::beside;
use crate::clock::repeat;
use crate::harness::{Skip, Test};
use anyhow::{bail, ensure, Context, Result};
use kvm_bindings::KVM_MEM_LOG_DIRTY_PAGES as LOG;
use kvmtest::backend::{C, RUST};
use kvmtest::guest::{self, Pattern, Program};
use kvmtest::memory::{Backing, Memory, Rights, MIB, PAGE_2M, PAGE_4K};
use kvmtest::probes::{Probes, Whose};
use kvmtest::vm::{Slot, Vm, BASE};
use std::io::Error;
use std::ops::Range;
use std::thread;

pub const TESTS: &[Test] = &[
    test("invalidation_elision", elision),
    test("invalidation_whose", |backend| whose(backend, &NOTIFIER)),
    test("fault_whose", |backend| whose(backend, &FAULTS)),
    test("invalidation_beside_slots", beside_slots),
    test("invalidation_beside_end", beside_end),
    test("invalidation_not_blockable", not_blockable),
    Test {
        timeout: 240,
        ..test("invalidation_many", many)
    },
    mixed("invalidation_elsewhere", elsewhere),
];

/// Where `mmu_lock` is taken for write.
const LOCK: &str = "_raw_write_lock";
/// C's notifier, as far as the host calls it.
const NOTIFIER: [&str; 6] = [
    "kvm:kvm_mmu_notifier_invalidate_range_start",
    "kvm:kvm_mmu_notifier_invalidate_range_end",
    "kvm:kvm_mmu_notifier_clear_flush_young",
    "kvm:kvm_mmu_notifier_clear_young",
    "kvm:kvm_mmu_notifier_test_young",
    "kvm:kvm_mmu_notifier_release",
];
/// C's way of a page fault: without `mmu_lock`, to its page, and with it.
const FAULTS: [&str; 3] = [
    "kvm:fast_page_fault",
    "kvm:kvm_mmu_faultin_pfn",
    "kvm:kvm_tdp_mmu_map",
];
/// Where an invalidation begins and where it ends.
const HALVES: [&str; 2] = ["kvm:kvm_mmu_invalidate_start", "kvm:kvm_mmu_invalidate_end"];
/// How many that are going on the module has places for.
const PLACES: i32 = 8;
/// Threads that make invalidations at the same time, each of its own part of the memory.
const THREADS: u64 = 4 * PLACES as u64;
/// Long for the host to walk, though almost empty: threads are most often interrupted in such a walk.
const PART: u64 = 40 * PAGE_2M;
/// What a guest uses of the first part, which no thread has.
const GUESTS: Range<u64> = 0..4 * PAGE_2M;
/// How often to try what a busy host may prevent: it may run one thread after the other.
const ROUNDS: usize = 8;
/// So many faults must start again on C before Rust is compared with it.
const RETRIES: u64 = 10;
/// Number of invalidations of a storm.
const STORM: u64 = 10_000;

fn probes(functions: &[&str], whose: Whose) -> Result<Probes> {
    if !Probes::work_here() {
        bail!(Skip("the kernel has no kprobes".into()));
    }
    Probes::new(functions, whose)
}

/// Memory that no slot has comes and goes without `mmu_lock`. That of a slot needs it twice each time.
fn elision(backend: &str) -> Result<()> {
    let memory = Memory::new(MIB, Backing::Small)?;
    let other = Memory::new(MIB, Backing::Small)?;
    let (_vm, mut vcpu) = Vm::with(backend, &memory)?;
    vcpu.fill(&Slot::of(&memory).range(), 1)?;
    let locks = probes(&[LOCK], Whose::Mine)?;
    for number in 0..STORM {
        let start = number * PAGE_4K % other.size();
        other.discard(start..start + PAGE_4K)?;
    }
    let elided = locks.calls()?;
    ensure!(elided == 0, "{elided} locks for memory of no slot");
    for _ in 0..100 {
        memory.store(0, 1);
        memory.discard(0..PAGE_4K)?;
    }
    let taken = locks.calls()?;
    ensure!(taken >= 200, "only {taken} locks for memory of a slot");
    Ok(())
}

/// A VM on Rust never gets into these functions of C, and one on C does.
fn whose(backend: &str, functions: &[&str]) -> Result<()> {
    let calls = probes(functions, Whose::All)?;
    {
        let memory = Memory::new(MIB, Backing::Small)?;
        let (vm, mut vcpu) = Vm::with(backend, &memory)?;
        vcpu.fill(&Slot::of(&memory).range(), 1)?;
        vm.set(&Slot::of(&memory), LOG)?;
        vcpu.fill(&Slot::of(&memory).range(), 2)?;
        vcpu.populate(&Slot::of(&memory).range())?;
        memory.discard(0..PAGE_4K)?;
        memory.protect(0..MIB, Rights::Read)?;
        memory.protect(0..MIB, Rights::All)?;
        memory.advise(0..MIB, libc::MADV_COLD)?;
        memory.advise(0..MIB, libc::MADV_PAGEOUT)?;
        vcpu.fill(&Slot::of(&memory).range(), 3)?;
    }
    let calls = calls.calls()?;
    let mine = backend != RUST;
    ensure!(mine == (calls > 0), "{calls} calls on {backend}");
    Ok(())
}

/// A guest populates memory, and the host takes other memory of the slot away all the time. C makes faults
/// start again, though nothing of theirs was touched.
fn elsewhere(_: &str) -> Result<()> {
    let (mut c, mut rust, mut rounds) = (0, 0, 0);
    while c < RETRIES && rounds < ROUNDS {
        c += retries_elsewhere(C)?;
        rust += retries_elsewhere(RUST)?;
        rounds += 1;
    }
    ensure!(c >= RETRIES, "only {c} retries on C: the host is too quiet");
    ensure!(rust * 10 <= c, "{rust} retries on Rust, {c} on C");
    Ok(())
}

fn retries_elsewhere(backend: &str) -> Result<u64> {
    const MINE: Range<u64> = 0..8 * MIB;
    let memory = Memory::new(9 * MIB, Backing::Small)?;
    let (_vm, mut vcpu) = Vm::with(backend, &memory)?;
    let range = BASE..BASE + MINE.end;
    let storm = || {
        memory.store(MINE.end, 1);
        memory.discard(MINE.end..MINE.end + PAGE_4K)
    };
    beside(1, storm, || {
        repeat(500, 3, |round| {
            memory.discard(MINE)?;
            vcpu.fill(&range, round)
        })
    })?;
    vcpu.stats.get("pf_retry_invalidated")
}

/// Takes all of the memory's rights away, and gives them back: long invalidations, page by page.
fn churn(memory: &Memory) -> Result<()> {
    let all = 0..memory.size();
    memory.protect(all.clone(), Rights::Read)?;
    memory.protect(all, Rights::All)
}

/// Slots come and go beside invalidations of their memory. A change in the middle of one would leave
/// the VM unusable: the halves would not meet.
fn beside_slots(backend: &str) -> Result<()> {
    let memory = Memory::new(16 * MIB, Backing::Small)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    let slot = Slot::of(&memory);
    beside(
        1,
        || churn(&memory),
        || {
            repeat(1000, 50, |_| {
                vm.delete(&slot)?;
                vm.set(&slot, 0)
            })
        },
    )?;
    vcpu.fill(&slot.range(), 3)?;
    vcpu.check(&slot.range(), 3)
}

/// VMs end in the middle of invalidations, and slots are freed all the same.
fn beside_end(backend: &str) -> Result<()> {
    let memory = Memory::new(8 * MIB, Backing::Small)?;
    beside(
        1,
        || churn(&memory),
        || {
            repeat(1000, 8, |_| {
                let (_vm, vcpu) = Vm::with(backend, &memory)?;
                vcpu.populate(&(BASE..BASE + MIB))
            })
        },
    )
}

/// The memory of a process that is being killed is taken by others, who must not sleep meanwhile.
fn not_blockable(backend: &str) -> Result<()> {
    for _ in 0..20 {
        if reaped(backend)? {
            return Ok(());
        }
    }
    bail!(Skip(
        "processes end before others get at their memory".into()
    ))
}

/// Whether the memory of a process with a VM was taken before it had given it up itself.
fn reaped(backend: &str) -> Result<bool> {
    let mut ready = [0; 2];
    // SAFETY: `ready` has room for two descriptors.
    ensure!(unsafe { libc::pipe(ready.as_mut_ptr()) } == 0, "pipe");
    // SAFETY: the test has no other thread, so the child may go on as the parent would.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let made = victim(backend, ready[1]);
        eprintln!("# the victim has no VM: {:#}", made.unwrap_err());
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(1) };
    }
    ensure!(child > 0, "fork: {}", Error::last_os_error());
    let mut byte = 0_u8;
    // SAFETY: `byte` is one byte, and the descriptors are this function's own.
    let read = unsafe {
        libc::close(ready[1]);
        let read = libc::read(ready[0], (&raw mut byte).cast(), 1);
        libc::close(ready[0]);
        read
    };
    let result = if read == 1 { reap(child) } else { Ok(false) };
    let mut status = 0;
    // SAFETY: `status` is this function's own.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, &mut status, 0);
    }
    ensure!(read == 1, "the victim has no VM");
    result
}

/// Has a VM with memory, says so, and waits for its end.
fn victim(backend: &str, ready: i32) -> Result<()> {
    let memory = Memory::new(64 * MIB, Backing::Small)?;
    let (_vm, vcpu) = Vm::with(backend, &memory)?;
    vcpu.populate(&Slot::of(&memory).range())?;
    // SAFETY: one byte of a constant; the signal that ends this is not caught.
    unsafe {
        libc::write(ready, c"!".as_ptr().cast(), 1);
        loop {
            libc::pause();
        }
    }
}

/// Kills a process and takes its memory.
fn reap(process: i32) -> Result<bool> {
    // SAFETY: system calls that take numbers; the descriptor is this function's own.
    let (descriptor, taken) = unsafe {
        let descriptor = libc::syscall(libc::SYS_pidfd_open, process, 0);
        libc::kill(process, libc::SIGKILL);
        let taken = libc::syscall(libc::SYS_process_mrelease, descriptor, 0);
        (descriptor, taken)
    };
    let error = Error::last_os_error();
    // SAFETY: nobody else has it.
    unsafe { libc::close(descriptor as i32) };
    match (taken, error.raw_os_error()) {
        (0, _) => Ok(true),
        // It was faster.
        (_, Some(libc::ESRCH)) => Ok(false),
        _ => Err(error).context("process_mrelease"),
    }
}

/// More invalidations at the same time than the module has places to write them down, while a guest
/// checks what it wrote in another part of the slot.
fn many(backend: &str) -> Result<()> {
    let memory = Memory::new((1 + THREADS) * PART, Backing::Sparse)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    let range = BASE..BASE + GUESTS.end;
    let fill = guest::pass(Program::Fill, &range, PAGE_4K, Pattern::Distinct, 1);
    vcpu.run(&fill)?;
    let advance = guest::pass(Program::Advance, &range, PAGE_4K, Pattern::Distinct, 1);
    vcpu.patient = true;
    // Else most threads are interrupted behind an invalidation, and few are under way at the same time.
    let _preempt = interrupt_at_once()?;
    let rounds = || {
        let mut seen = Vec::new();
        while seen.len() < ROUNDS {
            let most = most_at_once(&memory)?;
            if most > PLACES || backend != RUST || !Probes::work_here() {
                return Ok(());
            }
            seen.push(most);
        }
        bail!("at the same time: {seen:?} at most")
    };
    vm.during(&mut [(&mut vcpu, advance)], rounds).map(drop)
}

/// A round of storms. How many invalidations were under way at the same time, where that can be seen.
fn most_at_once(memory: &Memory) -> Result<i32> {
    let halves = Probes::work_here().then(|| Probes::new(&HALVES, Whose::All));
    let halves = halves.transpose()?;
    thread::scope(|scope| {
        let storms = (1..=THREADS)
            .map(|part| scope.spawn(move || storm(memory, part * PART..(part + 1) * PART)));
        let storms: Vec<_> = storms.collect();
        for _ in 0..10 {
            memory.protect(GUESTS, Rights::Read)?;
            memory.protect(GUESTS, Rights::All)?;
        }
        for storm in storms {
            storm.join().expect("storms do not panic")?;
        }
        halves.map_or(Ok(0), |halves| halves.most_at_once())
    })
}

/// Says again and again that nobody needs a part: that lasts as long as a walk of it, and others may
/// say so of their parts meanwhile.
fn storm(memory: &Memory, part: Range<u64>) -> Result<()> {
    (0..30).try_for_each(|_| memory.advise(part.clone(), libc::MADV_FREE))
}
