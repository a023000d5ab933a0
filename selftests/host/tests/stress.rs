// SPDX-License-Identifier: GPL-2.0

//! Everything at the same time: guests, notifiers, dirty logging, aging, zaps.
//!
//! Each thread is one CPU or one task of the kernel. What is checked on the way: no CPU ever gets
//! at a frame that the host took away, no table is used after it was freed, nobody waits for ever.
//! What is checked at the end: no write is missing in the dirty log, statistics are exact, and
//! nothing is left.

mod common;

use common::{frame, memory, vcpu, vm_with, Options, PAGES};
use kvmrs_host::{
    kvm::{types::Pfn, Gfn, GfnRange, Level, Vcpu, Vm},
    machine::{formats, Machine},
    model::{cpu::Access, kvm, view},
};
use std::{
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
        Arc, Mutex,
    },
    thread,
    time::{Duration, Instant},
};

/// How long each format's run takes.
const TIME: Duration = Duration::from_millis(2000);

/// A small generator of numbers: the run is about schedules, which no seed repeats.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

struct World {
    vm: Arc<Vm>,
    machine: Arc<Machine>,
    end: AtomicBool,
    /// Contents of the frames: how many times each was written.
    versions: Vec<AtomicU64>,
    /// What a migration has sent.
    sent: Mutex<Vec<u64>>,
    /// `slots_lock`: fast zaps and changes of the dirty log exclude each other.
    slots: Mutex<()>,
}

impl World {
    fn until_the_end(&self, seed: u64, mut work: impl FnMut(&mut Dice)) {
        self.machine.enter();
        let mut dice = Dice(seed);
        while !self.end.load(SeqCst) {
            work(&mut dice);
        }
    }

    /// A guest reads, writes and runs code, half of the time in a few pages.
    fn guest(&self, vcpu: &Vcpu, dice: &mut Dice) {
        let index = match dice.roll(2) {
            0 => dice.roll(PAGES),
            _ => 700 + dice.roll(16),
        };
        let gfn = frame(index);
        let access = match dice.roll(8) {
            0 => Access::Fetch,
            1..=3 => Access::Write,
            _ => Access::Read,
        };
        kvm::guest_access(vcpu, gfn, access, |pfn| {
            // Frame numbers are never used twice: the host has this one in use, or it is stale.
            assert!(
                self.vm.primary.holds(gfn, Pfn::new(pfn)),
                "{gfn:?} went to {pfn:#x}"
            );
            if access == Access::Write {
                self.versions[index as usize].fetch_add(1, SeqCst);
            }
        });
    }

    /// The host moves, splits and collapses pages.
    fn host(&self, dice: &mut Dice) {
        let gfn = frame(dice.roll(PAGES)).round_down(Level::PG_2M);
        let page = GfnRange::sized(gfn, 512);
        kvm::invalidate(&self.vm, page, || match dice.roll(4) {
            0 => self.vm.primary.split(gfn),
            1 => self.vm.primary.populate(gfn, Level::PG_4K),
            _ => self.vm.primary.populate(gfn, Level::PG_2M),
        });
        thread::sleep(Duration::from_micros(dice.roll(300)));
    }

    /// Harvests the dirty log and sends what it says.
    fn migrate(&self, logging: &mut bool, dice: &mut Dice) {
        let slot = &self.vm.slots()[0];
        let _slots = self.slots.lock().expect("no panic");
        match (*logging, dice.roll(12)) {
            (false, _) => {
                kvm::start_dirty_log(&self.vm, slot, dice.roll(2) == 0);
                // All that was written before is sent at once.
                self.send((0..PAGES).map(frame));
                *logging = true;
            }
            (true, 0) => {
                kvm::stop_dirty_log(&self.vm, slot);
                *logging = false;
            }
            (true, _) => self.send(kvm::harvest(&self.vm, slot).into_iter()),
        }
    }

    fn send(&self, frames: impl Iterator<Item = Gfn>) {
        let mut sent = self.sent.lock().expect("no panic");
        for gfn in frames {
            let index = gfn.offset_from(memory().start) as usize;
            sent[index] = self.versions[index].load(SeqCst);
        }
    }

    /// What ioctls, workers and memory management do now and then.
    fn maintain(&self, dice: &mut Dice) {
        let vm = &*self.vm;
        let start = frame(dice.roll(PAGES));
        let range = GfnRange::sized(start, 1 + dice.roll(PAGES)).clamp_end(memory().end);
        let slot = &vm.slots()[dice.roll(2) as usize];
        match dice.roll(7) {
            0 => kvm::zap_range(vm, range),
            1 => kvm::try_split(vm, slot, range, Level::PG_4K),
            2 => kvm::try_split_exclusive(vm, slot, range, Level::PG_4K),
            3 | 4 => {
                let _slots = self.slots.lock().expect("no panic");
                kvm::recover(vm, slot);
            }
            5 => while kvm::zap_one_nx_table(vm) {},
            _ => {
                let _slots = self.slots.lock().expect("no panic");
                kvm::zap_all_fast(vm);
            }
        }
        vm.breaks.set(dice.roll(u64::MAX) & dice.roll(u64::MAX));
    }
}

fn run(name: &str, world: &World, vcpus: &[Vcpu]) {
    let started = Instant::now();
    thread::scope(|scope| {
        for (seed, vcpu) in vcpus.iter().enumerate() {
            let seed = 0x9e37_79b9_7f4a_7c15 + seed as u64;
            scope.spawn(move || world.until_the_end(seed, |dice| world.guest(vcpu, dice)));
        }
        scope.spawn(|| world.until_the_end(2, |dice| world.host(dice)));
        scope.spawn(|| world.until_the_end(3, |dice| world.maintain(dice)));
        scope.spawn(|| {
            world.until_the_end(4, |dice| {
                kvm::age(&world.vm, memory(), dice.roll(2) == 0);
                thread::sleep(Duration::from_micros(100));
            })
        });
        scope.spawn(|| {
            let mut logging = false;
            world.until_the_end(5, |dice| world.migrate(&mut logging, dice));
            world.machine.enter();
            if !logging {
                world.migrate(&mut logging, &mut Dice(6));
            }
        });
        while started.elapsed() < TIME {
            thread::sleep(Duration::from_millis(20));
        }
        world.end.store(true, SeqCst);
    });
    // The guest is stopped: one last harvest, and both sides must be the same.
    world.send(kvm::harvest(&world.vm, &world.vm.slots()[0]).into_iter());
    let sent = world.sent.lock().expect("no panic");
    for (index, version) in world.versions.iter().enumerate() {
        assert_eq!(
            sent[index],
            version.load(SeqCst),
            "{name}: {:?} lost",
            frame(index as u64)
        );
    }
}

/// Two guests' CPUs against all that the kernel does. The log that is checked is that of address
/// space 0, so the guest does not enter SMM.
fn stress(name: &str, format: usize, options: Options) {
    let format = formats()[format].1;
    let vm = vm_with(format, memory(), Level::PG_2M, options);
    let world = World {
        vm: vm.clone(),
        machine: Machine::current(),
        end: AtomicBool::new(false),
        versions: (0..PAGES).map(|_| AtomicU64::new(0)).collect(),
        sent: Mutex::new(vec![0; PAGES as usize]),
        slots: Mutex::default(),
    };
    let vcpus = vec![vcpu(&vm), vcpu(&vm)];
    run(name, &world, &vcpus);
    vm.breaks.set(0);
    view::check(&vm);
    assert!(vm.breaks.given() > 0, "{name}: no walk ever gave way");
    kvm::destroy(&vm, vcpus);
}

#[test]
fn npt() {
    stress("npt", 0, Options::default());
}

#[test]
fn npt_with_the_nx_workaround() {
    stress(
        "npt, nx",
        0,
        Options {
            nx_huge_pages: true,
            ..Options::default()
        },
    );
}

#[test]
fn ept_with_pml() {
    stress(
        "ept",
        2,
        Options {
            cpu_dirty_log: true,
            nx_huge_pages: true,
        },
    );
}

#[test]
fn ept_without_accessed_and_dirty_bits() {
    stress("ept, no A/D", 3, Options::default());
}
