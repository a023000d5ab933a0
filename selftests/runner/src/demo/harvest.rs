// SPDX-License-Identifier: GPL-2.0

//! How many page faults come to their end while a dirty log is harvested: on C, and on Rust.
//!
//! Userspace clears the whole log of a slot by one call. Meanwhile a vCPU faults in another slot, whose pages the
//! host takes away again and again. So each of its faults looks up a page, and needs `mmu_lock`. Those that are over are
//! counted right before the call and right after it.
//!
//! A task of a busy machine may stand still at any moment, in the middle of a harvest too. So the backends take turns,
//! the medians are compared, and there are more harvests if some did not show enough.

use anyhow::{ensure, Result};
use kvm_bindings::KVM_MEM_LOG_DIRTY_PAGES;
use kvmtest::backend::{C, RUST};
use kvmtest::beside::beside;
use kvmtest::memory::{Memory, MIB, PAGE_1G, PAGE_4K};
use kvmtest::sysfs;
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Slot, Vm, LOG_INITIALLY_SET, SLOT};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::Mutex;
use std::thread::{self, yield_now};
use std::time::{Duration, Instant};

/// Memory whose log is harvested: as much as QEMU clears by one call.
const HARVESTED: u64 = PAGE_1G;
/// What the host has of it.
const PART: u64 = 32 * MIB;
/// Memory that the vCPU faults in, below it.
const FAULTED: u64 = 4 * MIB;
const FAULTED_AT: u64 = 256 * MIB;
/// Faults after which the vCPU is at it.
const BEGUN: u64 = 50;
/// It is by then, on a busy machine as well.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often each log is harvested, and how often at most.
const HARVESTS: usize = 5;
const MOST: usize = 20;
/// How many times as many faults Rust must complete as C. It is some hundred times as many on a machine that nobody
/// else uses.
const MORE: u64 = 8;

/// A fault beside Rust's harvest waits for less than one part of it in so many. While the lock is held for read, nobody
/// waits for it.
const PART_OF_HARVEST: u32 = 16;

/// What came of the harvests of one VM.
#[derive(Default)]
pub struct Seen {
    /// Faults that were completed while a harvest ran, for each harvest.
    completed: Vec<u64>,
    /// How long the harvests took.
    time: Duration,
    /// The longest wait of a fault for `mmu_lock` beside them.
    pub longest: Duration,
}

impl Seen {
    /// Faults beside one harvest.
    pub fn median(&self) -> u64 {
        let mut sorted = self.completed.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or(0)
    }

    /// What one harvest took, on average.
    pub fn time(&self) -> Duration {
        self.time / self.harvests().max(1) as u32
    }

    /// Whether no fault stood still for a good part of a harvest.
    pub fn waits_little(&self) -> bool {
        self.longest < self.time() / PART_OF_HARVEST
    }

    /// How many there were.
    pub fn harvests(&self) -> usize {
        self.completed.len()
    }
}

/// Harvests logs on C and on Rust in turns, and says what came of it.
pub fn run() -> Result<[Seen; 2]> {
    let memory = Memory::repeated(HARVESTED, PART)?;
    let mut sides = [Side::new(C, &memory)?, Side::new(RUST, &memory)?];
    for round in 1..=MOST {
        sides.iter_mut().try_for_each(Side::harvest)?;
        let [c, rust] = &sides;
        if round >= HARVESTS && is_enough(&c.seen, &rust.seen) {
            break;
        }
    }
    Ok(sides.map(|side| side.seen))
}

/// Whether faults went on beside Rust's harvests.
pub fn is_enough(c: &Seen, rust: &Seen) -> bool {
    rust.median() > MORE * (c.median() + 1)
}

/// A VM.
struct Side {
    vm: Vm,
    slot: Slot,
    faulter: Faulter,
    seen: Seen,
}

impl Side {
    /// With all of `memory` mapped for the guest.
    fn new(backend: &str, memory: &Memory) -> Result<Self> {
        let vm = Vm::new(backend)?;
        vm.set_log_mode(LOG_INITIALLY_SET)?;
        let slot = Slot::of(memory);
        vm.set(&slot, 0)?;
        let mut vcpus = [vm.vcpu(0)?, vm.vcpu(1)?];
        populate(&mut vcpus, &slot.range())?;
        let [vcpu, _] = vcpus;
        Ok(Self {
            faulter: Faulter::new(&vm, vcpu)?,
            vm,
            slot,
            seen: Seen::default(),
        })
    }

    /// A log that begins with every page dirty is cleared by one call.
    fn harvest(&mut self) -> Result<()> {
        let (vm, slot, seen) = (&self.vm, &self.slot, &mut self.seen);
        vm.set(slot, 0)?;
        vm.set(slot, KVM_MEM_LOG_DIRTY_PAGES)?;
        let mut log = vm.get_log(slot)?;
        sysfs::write(&vm.inside.path("mmu_stats"), "0")?;
        let clear = |completed: &AtomicU64| {
            let (begin, before) = (Instant::now(), completed.load(SeqCst));
            vm.clear_log(slot, 0, slot.size / PAGE_4K, &mut log)?;
            seen.completed.push(completed.load(SeqCst) - before);
            seen.time += begin.elapsed();
            Ok(())
        };
        self.faulter.during(clear)?;
        let longest = Duration::from_nanos(vm.stats.get("mmu_lock_wait_max_ns")?);
        seen.longest = seen.longest.max(longest);
        Ok(())
    }
}

/// Each vCPU maps its share of `range`.
fn populate(vcpus: &mut [Vcpu; 2], range: &Range<u64>) -> Result<()> {
    let half = range.start + (range.end - range.start) / 2;
    let shares = [range.start..half, half..range.end];
    thread::scope(|scope| {
        let work = vcpus
            .iter_mut()
            .zip(shares)
            .map(|(vcpu, share)| scope.spawn(move || vcpu.populate(&share)));
        let mut work = work.collect::<Vec<_>>().into_iter();
        work.try_for_each(|done| done.join().expect("no panic"))
    })
}

/// A vCPU that faults in memory which the host takes away again and again.
struct Faulter {
    vcpu: Mutex<Vcpu>,
    memory: Memory,
    slot: Slot,
    completed: AtomicU64,
}

impl Faulter {
    fn new(vm: &Vm, vcpu: Vcpu) -> Result<Self> {
        let memory = Memory::untouched(FAULTED)?;
        let slot = Slot {
            id: SLOT + 1,
            gpa: FAULTED_AT,
            ..Slot::of(&memory)
        };
        vm.set(&slot, 0)?;
        Ok(Self {
            vcpu: Mutex::new(vcpu),
            memory,
            slot,
            completed: AtomicU64::new(0),
        })
    }

    /// Faults while the host does this.
    fn during(&self, host: impl FnOnce(&AtomicU64) -> Result<()>) -> Result<()> {
        let begin = self.completed.load(SeqCst);
        let begun = || {
            let since = Instant::now();
            while self.completed.load(SeqCst) < begin + BEGUN {
                ensure!(since.elapsed() < PATIENCE, "the vCPU does not fault");
                yield_now();
            }
            host(&self.completed)
        };
        beside(1, || self.fault(), begun)
    }

    /// One page after the other, without the guest's entry and exit, which cost an emulator much more than a fault.
    fn fault(&self) -> Result<()> {
        self.memory.discard(0..FAULTED)?;
        let vcpu = self.vcpu.lock().expect("no panic");
        for gpa in self.slot.range().step_by(PAGE_4K as usize) {
            vcpu.populate(&(gpa..gpa + PAGE_4K))?;
            self.completed.fetch_add(1, SeqCst);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{is_enough, Seen};
    use std::time::Duration;

    #[test]
    fn a_wait_is_compared_with_a_harvest() {
        let [short, long] = [1, 50].map(|millis| Seen {
            completed: vec![0, 0],
            time: Duration::from_millis(100),
            longest: Duration::from_millis(millis),
        });
        assert!(short.waits_little());
        assert!(!long.waits_little());
    }

    fn seen(completed: &[u64]) -> Seen {
        Seen {
            completed: completed.to_vec(),
            ..Seen::default()
        }
    }

    #[test]
    fn the_usual_harvest_counts_and_not_the_worst() {
        let c = seen(&[1, 0, 700, 2, 1]);
        assert_eq!(c.median(), 1);
        assert!(is_enough(&c, &seen(&[0, 412, 300])));
        assert!(!is_enough(&c, &seen(&[0, 9, 0])));
        assert!(!is_enough(&c, &seen(&[])));
    }
}
