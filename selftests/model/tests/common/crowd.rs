// SPDX-License-Identifier: GPL-2.0

//! Everything at the same time: guests, notifiers, dirty logging, aging, zaps.
//!
//! Each thread is one CPU or one task of the kernel. What is checked on the way: no CPU ever gets
//! at a frame that the host took away, no table is used after it was freed, no flush is lost, nobody
//! waits for ever. What is checked at the end: no write is missing in the dirty log, statistics are
//! exact, and nothing is left.

use super::{frame, memory, vcpu, vm_with, wide_vcpu, Options, PAGES};
use kvmrs_model::{
    atomic::{lock, pause, plain, seed, thread, Arc, Mutex, Ordering::SeqCst},
    kvm::{
        gpc::{Address, Gpc},
        memory::SlotState,
        types::Pfn,
        Gfn, GfnRange, Level, MemSlot, Vcpu, Vm,
    },
    machine::{Machine, Masks},
    pfncache::refresh::deactivate,
    tdp_mmu,
    world::{breaks::ALWAYS, cpu::Access, gpc, kvm, notifier::Notifier, ring, view},
};
use std::{cell::Cell, ops::Range};

/// A small generator of numbers.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// What a thread does, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// A guest's CPU.
    Guest,
    /// One that does nothing but write.
    Writer,
    /// The host moves, splits and collapses pages.
    Host,
    /// A migration starts, reads and stops the dirty log.
    Migrate,
    /// The host looks which pages are in use.
    Age,
    /// Ranges are zapped.
    Zap,
    /// All roots are invalidated and zapped.
    ZapAllFast,
    /// Huge pages are split.
    Split,
    /// Huge pages are made.
    Recover,
    /// The worker that removes what the NX workaround has split.
    NxWorker,
    /// The NX workaround is switched on and off.
    NxSwitch,
    /// A slot is deleted and made.
    Slots,
    /// The kernel writes to the guest by way of pfn caches, and moves them.
    Cache,
    /// One of five that change pages and tables.
    Maintain,
}

impl Task {
    fn has_cpu(self) -> bool {
        matches!(self, Self::Guest | Self::Writer)
    }

    const MAINTENANCE: [Self; 5] = [
        Self::Zap,
        Self::ZapAllFast,
        Self::Split,
        Self::Recover,
        Self::NxWorker,
    ];
}

/// A VM and all who work on it.
pub struct Crowd {
    pub vm: Arc<Vm>,
    machine: Arc<Machine>,
    vcpus: Vec<Vcpu>,
    tasks: Vec<Task>,
    /// The frames that are used, by index; half of all accesses go to a few of them.
    frames: Vec<u64>,
    few: Range<usize>,
    /// Contents of the frames: how many times each was written.
    versions: Vec<plain::AtomicU64>,
    /// What a migration has sent.
    sent: plain::Mutex<Vec<u64>>,
    /// Whether a migration has begun before, and goes on to the end.
    logged: bool,
    /// Pfn caches.
    caches: [Arc<Gpc>; 2],
    /// `slots_lock`: fast zaps, splits and changes of the dirty log exclude each other.
    slots: Mutex<()>,
}

impl Crowd {
    /// `tasks` on a VM in huge pages. The log that is checked is that of address space 0, so the
    /// guest does not enter SMM.
    pub fn new(format: Masks, options: Options, tasks: &[Task]) -> Self {
        let vm = vm_with(format, memory(), Level::PG_2M, options);
        let guests = tasks.iter().filter(|task| task.has_cpu());
        let wide = |number| options.five_levels && number % 2 == 1;
        let guests = guests.enumerate().map(|(number, _)| match wide(number) {
            true => wide_vcpu(&vm),
            false => vcpu(&vm),
        });
        let vcpus = guests.collect();
        let caches = [(); 2].map(|()| Gpc::new(&vm));
        Self {
            caches,
            vm,
            machine: Machine::current(),
            vcpus,
            tasks: tasks.to_vec(),
            frames: (0..PAGES).collect(),
            few: 700..716,
            versions: (0..PAGES).map(|_| plain::AtomicU64::new(0)).collect(),
            sent: plain::Mutex::new(vec![0; PAGES as usize]),
            logged: false,
            slots: Mutex::new(()),
        }
    }

    /// Uses only `frames`.
    pub fn with_frames(self, frames: Vec<u64>) -> Self {
        Self {
            few: 0..frames.len(),
            frames,
            ..self
        }
    }

    /// A migration begins before the threads do, with nothing to send, and goes on to the end.
    pub fn logged(self) -> Self {
        kvm::start_dirty_log(&self.vm, self.slot(), kvm::Split::Eagerly);
        Self {
            logged: true,
            ..self
        }
    }

    /// All threads at once, for as many rounds as `more` says; then the checks of the end.
    pub fn run(self, more: impl Fn(u64) -> bool + Sync) {
        thread::scope(|scope| {
            let mut vcpus = self.vcpus.iter();
            for (number, task) in self.tasks.iter().enumerate() {
                let vcpu = vcpus.by_ref().next().filter(|_| task.has_cpu());
                let (crowd, more) = (&self, &more);
                scope.spawn(move || crowd.work(*task, vcpu, number as u64, more));
            }
        });
        self.finish();
    }

    fn work(&self, task: Task, vcpu: Option<&Vcpu>, number: u64, more: impl Fn(u64) -> bool) {
        self.machine.enter();
        let mut dice = Dice::new(seed(number));
        let logging = Cell::new(self.logged);
        let rounds = (0..).take_while(|round| more(*round));
        match (task, vcpu) {
            (Task::Guest, Some(vcpu)) => rounds.for_each(|_| {
                let access = match dice.roll(8) {
                    0 => Access::Fetch,
                    1..=3 => Access::Write,
                    _ => Access::Read,
                };
                self.guest(vcpu, access, &mut dice);
            }),
            (Task::Writer, Some(vcpu)) => {
                rounds.for_each(|_| self.guest(vcpu, Access::Write, &mut dice))
            }
            (Task::Migrate, _) => {
                rounds.for_each(|_| self.migrate(&logging, &mut dice));
                if !logging.get() {
                    self.migrate(&logging, &mut dice);
                }
            }
            _ => rounds.for_each(|_| self.kernel(task, &mut dice)),
        }
    }

    fn pick(&self, dice: &mut Dice) -> u64 {
        match dice.roll(2) {
            0 => self.frames[dice.roll(self.frames.len() as u64) as usize],
            _ => self.frames[self.few.start + dice.roll(self.few.len() as u64) as usize],
        }
    }

    /// A guest reads, writes or runs code.
    fn guest(&self, vcpu: &Vcpu, access: Access, dice: &mut Dice) {
        let index = self.pick(dice);
        let gfn = frame(index);
        if vcpu.cpu.ring.is_soft_full() {
            let _slots = lock(&self.slots);
            self.collect();
        }
        let done = kvm::try_access(vcpu, gfn, access, |pfn| {
            // Frame numbers are never used twice: the host has this one in use, or it is stale.
            let held = self.vm.primary.holds(gfn, Pfn::new(pfn));
            assert!(held, "stale translation: {gfn:?} went to {pfn:#x}");
            if access == Access::Write {
                self.versions[index as usize].fetch_add(1, SeqCst);
            }
        });
        // If the ring is full, the guest comes back to it.
        drop(done);
    }

    /// Sends what is in the dirty rings.
    fn collect(&self) {
        let normal = |(space, gfn)| (space == 0).then_some(gfn);
        self.send(ring::collect(&self.vm).into_iter().filter_map(normal));
    }

    /// What ioctls, workers and memory management do.
    fn kernel(&self, task: Task, dice: &mut Dice) {
        let vm = &*self.vm;
        let slot = &vm.slots()[dice.roll(2) as usize];
        match task {
            Task::Host => self.host(dice),
            Task::Age => {
                match dice.roll(2) {
                    0 => kvm::test_age(vm, memory()),
                    _ => kvm::age(vm, memory()),
                };
                pause(100);
            }
            Task::Zap => kvm::zap_range(vm, self.range(dice)),
            Task::ZapAllFast => {
                let _slots = lock(&self.slots);
                kvm::zap_all_fast(vm);
            }
            Task::Split => {
                let _slots = lock(&self.slots);
                match dice.roll(2) {
                    0 => kvm::try_split(vm, slot, self.range(dice), Level::PG_4K),
                    _ => kvm::try_split_exclusive(vm, slot, self.range(dice), Level::PG_4K),
                }
            }
            Task::Recover => {
                let _slots = lock(&self.slots);
                kvm::recover(vm, slot);
            }
            Task::NxWorker => tdp_mmu::nx::recover(vm, 1 + dice.roll(3)),
            Task::Slots => {
                let _slots = lock(&self.slots);
                match slot.state() {
                    SlotState::Live => kvm::delete_slot(vm, slot),
                    _ => kvm::create_slot(vm, slot),
                }
            }
            Task::Cache => self.cache(dice),
            Task::NxSwitch => {
                let _slots = lock(&self.slots);
                kvm::switch_nx_huge_pages(vm, dice.roll(2) == 0);
            }
            Task::Maintain => {
                let all = Task::MAINTENANCE;
                self.kernel(all[dice.roll(all.len() as u64) as usize], dice);
            }
            Task::Guest | Task::Writer | Task::Migrate => {
                unreachable!("have functions of their own")
            }
        }
        vm.breaks.set(match dice.roll(8) {
            0 => ALWAYS,
            _ => dice.roll(u64::MAX) & dice.roll(u64::MAX),
        });
    }

    fn range(&self, dice: &mut Dice) -> GfnRange {
        let start = frame(self.pick(dice));
        GfnRange::sized(start, 1 + dice.roll(PAGES)).clamp_end(memory().end)
    }

    fn host(&self, dice: &mut Dice) {
        let gfn = frame(self.pick(dice));
        let page = GfnRange::sized(gfn.round_down(Level::PG_2M), 512);
        let range = match dice.roll(2) {
            0 => GfnRange::one(gfn),
            _ => page,
        };
        let (vm, may_block) = (&self.vm, dice.roll(4) != 0);
        let notifier = Notifier::start(vm, range, may_block);
        match (range == page, dice.roll(4)) {
            (true, 0) => vm.primary.split(gfn),
            (true, 1) => vm.primary.populate(gfn, Level::PG_4K),
            (true, _) => vm.primary.populate(gfn, Level::PG_2M),
            (false, _) => vm.primary.move_small(gfn),
        }
        notifier.end(vm);
        pause(dice.roll(300));
    }

    /// One of the caches is used, made valid, moved, or goes out of use. The page that it has is checked
    /// at each access.
    fn cache(&self, dice: &mut Dice) {
        let cache = &self.caches[dice.roll(2) as usize];
        let address = Address::Guest(frame(self.pick(dice)).addr() + 8 * dice.roll(4));
        match dice.roll(8) {
            0 => deactivate(cache),
            1 => {
                let _ = gpc::activate(cache, address, 8);
            }
            2 | 3 => {
                let _ = gpc::refresh(cache, 8);
            }
            _ => {
                let other = &self.caches[dice.roll(2) as usize];
                gpc::try_access(cache, 8, |page| {
                    gpc::try_access(other, 4, |page| page.write_u32(0, 1));
                    page.write_u32(4, 2);
                    page.mark_dirty();
                });
            }
        }
    }

    fn slot(&self) -> &MemSlot {
        &self.vm.slots()[0]
    }

    /// Harvests the dirty log and sends what it says.
    fn migrate(&self, logging: &Cell<bool>, dice: &mut Dice) {
        let _slots = lock(&self.slots);
        match (logging.get(), dice.roll(12)) {
            (false, _) => {
                let split = match dice.roll(2) {
                    0 => kvm::Split::Eagerly,
                    _ => kvm::Split::AtFaults,
                };
                kvm::start_dirty_log(&self.vm, self.slot(), split);
                // All that was written before is sent at once.
                self.send((0..PAGES).map(frame));
                logging.set(true);
            }
            (true, 0) if !self.logged => {
                kvm::stop_dirty_log(&self.vm, self.slot());
                logging.set(false);
            }
            (true, _) => self.harvest(),
        }
    }

    fn harvest(&self) {
        self.collect();
        self.send(kvm::harvest(&self.vm, self.slot()).into_iter());
    }

    fn send(&self, frames: impl Iterator<Item = Gfn>) {
        let mut sent = plain::lock(&self.sent);
        for gfn in frames {
            let index = gfn.offset_from(memory().start) as usize;
            sent[index] = self.versions[index].load(SeqCst);
        }
    }

    /// The guest is stopped: one last harvest, and both sides must be the same.
    fn finish(self) {
        self.vm.breaks.set(0);
        if self.tasks.contains(&Task::Migrate) {
            self.harvest();
            let sent = plain::lock(&self.sent);
            for (index, version) in self.versions.iter().enumerate() {
                let gfn = frame(index as u64);
                assert_eq!(
                    sent[index],
                    version.load(SeqCst),
                    "{gfn:?} is not in the dirty log"
                );
            }
        }
        self.caches.iter().for_each(|cache| deactivate(cache));
        self.vm.check_caches();
        view::check(&self.vm);
        kvm::destroy(&self.vm, self.vcpus);
    }
}
