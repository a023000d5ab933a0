// SPDX-License-Identifier: GPL-2.0

//! What an invalidation costs others, and what may happen while it goes on.

use super::userfault::answered;
use super::{interrupt_at_once, mixed, test};
use crate::clock::repeat;
use crate::harness::{Skip, Test};
use anyhow::{bail, ensure, Result};
use kvm_bindings::KVM_MEM_LOG_DIRTY_PAGES as LOG;
use kvmtest::backend::{C, RUST};
use kvmtest::beside::beside;
use kvmtest::cpu;
use kvmtest::guest::{self, Pattern, Program};
use kvmtest::memory::{Backing, Memory, Rights, MIB, PAGE_1G, PAGE_2M, PAGE_4K};
use kvmtest::probes::{Probes, Whose};
use kvmtest::userfault::{Kind, Userfault};
use kvmtest::vm::{Slot, Vm, BASE, SLOT};
use std::ops::Range;
use std::sync::mpsc::{self, Sender};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    test("invalidation_elision", elision),
    test("invalidation_whose", |backend| whose(backend, &NOTIFIER)),
    test("fault_whose", |backend| whose(backend, &FAULTS)),
    test("invalidation_beside_slots", beside_slots),
    test("invalidation_beside_end", beside_end),
    test("invalidation_many", many),
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
/// Threads that make invalidations, each in the middle of that of the thread before.
const THREADS: usize = 2 * PLACES as usize;
/// Long for the host to walk, though almost empty: in the time between two threads it does not get far.
const LONG: u64 = 2 * PAGE_1G;
/// How long a thread runs before the next one does.
const AHEAD: Duration = Duration::from_millis(2);
/// What a guest uses, and no thread does.
const GUESTS: Range<u64> = 0..4 * PAGE_2M;
/// How many invalidations that have ended the record has.
const RECORD: u64 = 32;
/// Finds the host's page for Rust's faults.
const LOOK_UP: &str = "kvm:kvm_mmu_lookup_pfn";
/// Pages that a guest waits for, one after the other.
const POPULATED: u64 = STORM.div_ceil(RECORD);
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

/// A guest populates memory, and waits for each page in the middle of its fault. Meanwhile the host takes memory of
/// another slot away, as often as the record can tell. C makes the fault start again, though nothing of its was touched.
///
/// Rust looks a page up once more before it does so. One look-up for each page says that it knew better, and a second one
/// for each comes as soon as the record is too short. The host's kernel may take a page away once in a while on its own.
fn elsewhere(_: &str) -> Result<()> {
    let (c, _) = faults_beside(C, RECORD)?;
    ensure!(c >= POPULATED, "C tries {c} of {POPULATED} faults again");
    let (told, look_ups) = faults_beside(RUST, RECORD)?;
    ensure!(told == 0, "Rust tries {told} of {POPULATED} faults again");
    if !Probes::work_here() {
        return Ok(());
    }
    let (_, alone) = faults_beside(RUST, 0)?;
    ensure!(
        look_ups - alone < POPULATED / 8,
        "Rust looks up {look_ups} pages instead of {alone}"
    );
    let (_, untold) = faults_beside(RUST, RECORD + 1)?;
    ensure!(
        untold - alone > POPULATED * 7 / 8,
        "the record is longer than {RECORD}: {untold} look-ups instead of {alone} for all, and one more for each"
    );
    Ok(())
}

/// Faults that start again if so many invalidations elsewhere end during each, and how often Rust looks a page up.
fn faults_beside(backend: &str, each: u64) -> Result<(u64, u64)> {
    let memory = Memory::untouched(POPULATED * PAGE_4K)?;
    let faults = Userfault::of(&memory, Kind::Missing)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    let other = Memory::new(PAGE_4K, Backing::Small)?;
    let slot = Slot {
        id: SLOT + 1,
        gpa: 2 * BASE,
        ..Slot::of(&other)
    };
    vm.set(&slot, 0)?;
    let storm = |place| {
        for _ in 0..each {
            other.store(0, 1);
            other.discard(0..PAGE_4K)?;
        }
        faults.give(place, 0)
    };
    let probes = Probes::work_here().then(|| Probes::new(&[LOOK_UP], Whose::All));
    let probes = probes.transpose()?;
    answered(&faults, storm, |_| vcpu.fill(&Slot::of(&memory).range(), 1))?;
    let look_ups = probes.map_or(Ok(0), |probes| probes.calls())?;
    Ok((vcpu.stats.get("pf_retry_invalidated")?, look_ups))
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

/// More invalidations at the same time than the module has places to write them down, while a guest
/// checks what it wrote in another part of the slot.
fn many(backend: &str) -> Result<()> {
    let memory = Memory::new(LONG, Backing::Sparse)?;
    // An area of its own, which does not wait for what goes on in the other.
    memory.advise(GUESTS, libc::MADV_DONTDUMP)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    let range = BASE..BASE + GUESTS.end;
    let fill = guest::pass(Program::Fill, &range, PAGE_4K, Pattern::Distinct, 1);
    vcpu.run(&fill)?;
    let advance = guest::pass(Program::Advance, &range, PAGE_4K, Pattern::Distinct, 1);
    vcpu.patient = true;
    // Else a thread waits until the one before is out of the kernel.
    let _preempt = interrupt_at_once()?;
    let host = || {
        let most = most_at_once(&memory)?;
        let enough = most > PLACES || backend != RUST || !Probes::work_here();
        ensure!(enough, "{most} at the same time at most");
        Ok(())
    };
    vm.during(&mut [(&mut vcpu, advance)], host).map(drop)
}

/// Has all threads do so. How many invalidations were under way at the same time, where that can be seen.
fn most_at_once(memory: &Memory) -> Result<i32> {
    let halves = Probes::work_here().then(|| Probes::new(&HALVES, Whose::All));
    let halves = halves.transpose()?;
    let shared = cpu::here()?;
    let ready = Barrier::new(THREADS + 1);
    thread::scope(|scope| {
        let mut threads = Vec::new();
        let mut next = None;
        for place in (1..=THREADS).rev() {
            let (give, turn) = mpsc::channel();
            let (after, ready) = (next.replace(give), &ready);
            threads.push(scope.spawn(move || -> Result<()> {
                cpu::stay_on(shared)?;
                cpu::go_first(place as i32)?;
                ready.wait();
                turn.recv()?;
                interrupt(memory, place as u64, after)
            }));
        }
        ready.wait();
        next.expect("there are threads").send(())?;
        for _ in 0..10 {
            memory.protect(GUESTS, Rights::Read)?;
            memory.protect(GUESTS, Rights::All)?;
        }
        for thread in threads {
            thread.join().expect("threads do not panic")?;
        }
        halves.map_or(Ok(0), |halves| halves.most_at_once())
    })
}

/// Interrupts the thread before in the middle of its invalidation, and has `next` interrupt this one. No
/// moment is agreed upon, so a busy host does not bring the threads out of step: they have one processor,
/// `next` goes first there, and when it begins to wait, this one goes on.
fn interrupt(memory: &Memory, place: u64, next: Option<Sender<()>>) -> Result<()> {
    thread::sleep(AHEAD);
    if let Some(next) = next {
        next.send(())?;
    }
    let range = GUESTS.end + place * PAGE_4K..memory.size();
    memory.advise(range, libc::MADV_FREE)
}
