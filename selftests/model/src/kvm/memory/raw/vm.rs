// SPDX-License-Identifier: GPL-2.0

//! The VM, with what the model knows of it.

use crate::{
    atomic::{
        self,
        plain::{lock, AtomicBool, AtomicI64, AtomicU64, Mutex},
        Arc,
        Ordering::SeqCst,
        RwLock,
    },
    kvm::{
        gpc::Caches,
        memory::{
            host::Host,
            memslot::{MemSlot, SlotState},
        },
        types::{AddressSpace, Gfn, GfnRange, Level},
    },
    machine::{self, arena::PageId, Machine, MAXPHYADDR},
    world::{
        breaks::{Breaks, Hook},
        cpu::Cpu,
        debt::Debt,
        notifier::Invalidations,
        primary::Primary,
        variants::{Variant, Variants},
    },
};
use std::collections::BTreeSet;

/// A number that is counted up and down.
#[derive(Default)]
pub struct Counter(AtomicI64);

impl Counter {
    pub(crate) fn add(&self, count: i64) {
        self.0.fetch_add(count, SeqCst);
    }

    /// The number.
    pub fn get(&self) -> i64 {
        self.0.load(SeqCst)
    }
}

/// The VM's statistics.
#[derive(Default)]
pub struct Stats {
    /// Mapped pages of each level, from `pages_4k` on.
    pub pages: [Counter; 5],
    /// Live tables but for roots.
    pub tables: Counter,
    /// TLB flushes.
    pub flushes: Counter,
    /// Changes that needed one and had another's.
    pub merged: Counter,
    /// Ends of invalidations without a start.
    pub unmatched: Counter,
    /// Changes of entries that were reported.
    pub changes: Counter,
    /// What vCPUs count of their faults.
    pub faults: [Counter; 6],
    /// References to pages that faults have looked up.
    pub page_references: Counter,
    /// Pages that were given back as mapped, and may have been written to.
    pub pages_marked: Counter,
}

/// How a VM is set up.
pub struct Setup {
    /// Its slots.
    pub slots: Vec<MemSlot>,
    /// Whether the NX workaround is on.
    pub nx_huge_pages: bool,
    /// Whether the CPU logs dirty pages by itself (PML).
    pub cpu_dirty_log: bool,
}

/// A VM.
pub struct Vm {
    pub(crate) machine: Arc<Machine>,
    pub(in crate::kvm) mmu_lock: RwLock<()>,
    /// `kvm->srcu`: page faults read the slots in it.
    pub(crate) srcu: RwLock<()>,
    pub(in crate::kvm) pages_lock: atomic::Mutex<()>,
    pub(in crate::kvm) roots: atomic::Mutex<Vec<PageId>>,
    pub(in crate::kvm) nx_pages: Mutex<BTreeSet<PageId>>,
    nx_huge_pages: atomic::AtomicBool,
    dirty_rings: AtomicBool,
    setup: Setup,
    bugged: AtomicBool,
    write_tracked: Mutex<BTreeSet<Gfn>>,
    private: Mutex<BTreeSet<Gfn>>,
    generation: AtomicU64,
    /// When walks are asked to give way.
    pub breaks: Breaks,
    /// What happens whenever a slot was found by its frame.
    pub slots_found: Hook,
    /// What happens whenever a fault has looked up its page.
    pub lookups: Hook,
    /// What happens whenever a fault is about to take `mmu_lock`.
    pub waits: Hook,
    /// What C does otherwise than C.
    pub variants: Variants,
    /// What must be flushed before others may hold `mmu_lock` for write.
    pub(crate) debt: Debt,
    /// The host's page tables for the VM's memory.
    pub primary: Primary,
    /// Its changes, as far as they concern the VM.
    pub invalidations: Invalidations,
    pub(in crate::kvm) host: Host,
    /// Its pfn caches.
    pub caches: Caches,
    /// The CPUs that run its vCPUs.
    pub cpus: Mutex<Vec<Arc<Cpu>>>,
    /// What is counted.
    pub stats: Stats,
}

impl Vm {
    /// Makes a VM on the thread's machine.
    pub fn new(setup: Setup) -> Arc<Self> {
        Arc::new(Self {
            machine: Machine::current(),
            mmu_lock: RwLock::new(()),
            srcu: RwLock::new(()),
            pages_lock: atomic::Mutex::new(()),
            roots: atomic::Mutex::default(),
            nx_pages: Mutex::default(),
            nx_huge_pages: atomic::AtomicBool::new(setup.nx_huge_pages),
            dirty_rings: AtomicBool::new(false),
            setup,
            bugged: AtomicBool::new(false),
            write_tracked: Mutex::default(),
            private: Mutex::default(),
            generation: AtomicU64::new(0),
            breaks: Breaks::default(),
            slots_found: Hook::default(),
            lookups: Hook::default(),
            waits: Hook::default(),
            variants: Variants::default(),
            debt: Debt::default(),
            primary: Primary::default(),
            invalidations: Invalidations::default(),
            caches: Caches::default(),
            host: Host::default(),
            cpus: Mutex::default(),
            stats: Stats::default(),
        })
    }

    fn flush_cpus(&self, range: Option<GfnRange>) {
        self.stats.flushes.add(1);
        let begun = self.debt.now();
        let cpus = lock(&self.cpus).clone();
        for cpu in cpus {
            cpu.flush(range);
        }
        self.debt.settle(range, begun);
    }

    /// Flushes all CPUs' TLBs, and waits until they are out of the guest.
    pub fn flush_remote_tlbs(&self) {
        self.flush_cpus(None);
    }

    /// As above, for the `pages` frames from `start` on.
    pub(in crate::kvm::memory) fn flush_remote_tlbs_range(&self, start: Gfn, pages: u64) {
        self.flush_cpus(Some(GfnRange::sized(start, pages)));
    }

    /// As above, for the frames of `slot`.
    pub fn flush_remote_tlbs_slot(&self, slot: &MemSlot) {
        self.flush_cpus(Some(slot.range()));
    }

    /// Counts `count` more changes whose flush was another's as well.
    pub(in crate::kvm) fn count_merged_flushes(&self, count: u64) {
        self.stats.merged.add(count as i64);
    }

    /// Counts `count` more pages mapped at `level`.
    pub(in crate::kvm::memory) fn update_page_stats(&self, level: Level, count: i32) {
        self.stats.pages[usize::from(level.raw()) - 1].add(count.into());
    }

    /// Number of live tables but for roots.
    pub fn live_tables(&self) -> i64 {
        self.stats.tables.get()
    }

    /// Whether huge pages must not be executable.
    pub fn nx_huge_pages(&self) -> bool {
        self.nx_huge_pages.load(SeqCst)
    }

    /// Switches that on or off.
    pub(crate) fn set_nx_huge_pages(&self, on: bool) {
        self.nx_huge_pages.store(on, SeqCst);
    }

    /// Whether the dirty log is in rings, one of each vCPU.
    pub fn has_dirty_rings(&self) -> bool {
        self.dirty_rings.load(SeqCst)
    }

    /// It is, from now on.
    pub fn use_dirty_rings(&self) {
        self.dirty_rings.store(true, SeqCst);
        self.slots().iter().for_each(MemSlot::use_rings);
    }

    /// What tells an MMIO entry of this VM.
    pub fn mmio_value(&self) -> u64 {
        machine::masks().mmio_value
    }

    /// Whether the CPU logs dirty pages by itself.
    pub fn has_cpu_dirty_log(&self) -> bool {
        self.setup.cpu_dirty_log
    }

    /// The largest page level at which `slot` can map `gfn`. C looks it up in an array of the
    /// slot's own frames, and does not check.
    pub(in crate::kvm::memory) fn host_mapping_level(
        &self,
        slot: &MemSlot,
        gfn: Gfn,
    ) -> Option<Level> {
        let inside = slot.range().contains(gfn);
        assert!(inside, "{gfn:?} was looked up in a slot that it is not in");
        assert!(!self.is_private(gfn), "C warns: {gfn:?} is private");
        let mut level = self
            .primary
            .level(slot.host_of(gfn))?
            .min(Level::MAX_HUGEPAGE);
        while !self.may_be_huge(slot, gfn, level) {
            level = level.below()?;
        }
        Some(level)
    }

    /// Whether the memory of `gfn` is private to the guest.
    pub fn is_private(&self, gfn: Gfn) -> bool {
        lock(&self.private).contains(&gfn)
    }

    /// Makes the memory of `range` private to the guest. What it maps has to be zapped as well.
    pub fn set_private(&self, range: GfnRange) {
        lock(&self.private).extend((range.start.raw()..range.end.raw()).map(Gfn::new));
    }

    fn may_be_huge(&self, slot: &MemSlot, gfn: Gfn, level: Level) -> bool {
        let page = GfnRange::sized(gfn.round_down(level), level.pages());
        let tracked = lock(&self.write_tracked)
            .range(page.start..page.end)
            .next()
            .is_some();
        let inside = slot.range().covers(page);
        level == Level::PG_4K || inside && !tracked && slot.is_shown_aligned_to(level)
    }

    /// How many notifiers have taken away memory.
    pub(in crate::kvm) fn invalidations_ended(&self) -> u64 {
        match self.variants.has(Variant::FaultIsNeverStale) {
            true => 0,
            false => self.invalidations.ended(),
        }
    }

    /// How many notifiers are taking away memory.
    pub(in crate::kvm::memory) fn invalidations_going_on(&self) -> u64 {
        match self.variants.has(Variant::FaultIsNeverStale) {
            true => 0,
            false => self.invalidations.going_on(),
        }
    }

    /// The frames of which they do.
    pub(in crate::kvm::memory) fn invalidated_range(&self) -> GfnRange {
        let unknown = GfnRange::from_raw([u64::MAX; 2]);
        self.invalidations.range().unwrap_or(unknown)
    }

    /// Whether the guest's accesses to its APIC may go to the page for that. There is none.
    pub fn is_apicv_active(&self) -> bool {
        false
    }

    /// Marks the VM as broken.
    pub fn bug(&self) {
        self.bugged.store(true, SeqCst);
    }

    /// Whether it was.
    pub fn is_bugged(&self) -> bool {
        self.bugged.load(SeqCst)
    }

    /// Whether it was. From now on it is not: the test goes on with a VM that is as good as new.
    pub fn take_bug(&self) -> bool {
        self.bugged.swap(false, SeqCst)
    }

    /// The last frame that a guest physical address can reach.
    pub(in crate::kvm::memory) fn max_gfn() -> Gfn {
        Gfn::of_addr(1 << MAXPHYADDR).prev()
    }

    /// The VM's slots.
    pub fn slots(&self) -> &[MemSlot] {
        &self.setup.slots
    }

    /// The slot of `gfn` in `address_space`.
    pub fn slot(&self, address_space: AddressSpace, gfn: Gfn) -> Option<&MemSlot> {
        let there = |slot: &&MemSlot| slot.state() != SlotState::Gone;
        let mut slots = self.slots().iter().filter(there);
        slots.find(|slot| slot.address_space() == address_space && slot.range().contains(gfn))
    }

    /// The generation of the slots.
    pub fn generation(&self) -> u64 {
        self.generation.load(SeqCst)
    }

    /// Makes it `generation`.
    pub fn set_generation(&self, generation: u64) {
        self.generation.store(generation, SeqCst);
    }

    /// Starts or ends tracking of writes to `gfn`.
    pub fn set_write_tracked(&self, gfn: Gfn, tracked: bool) {
        let mut frames = lock(&self.write_tracked);
        if tracked {
            frames.insert(gfn);
        } else {
            frames.remove(&gfn);
        }
    }

    /// Whether writes to `gfn` are tracked.
    pub fn is_write_tracked(&self, gfn: Gfn) -> bool {
        lock(&self.write_tracked).contains(&gfn)
    }

    pub(crate) fn root_list(&self) -> &atomic::Mutex<Vec<PageId>> {
        &self.roots
    }

    /// The tables that stand in the way of huge pages.
    pub fn possible_nx_huge_pages(&self) -> BTreeSet<PageId> {
        lock(&self.nx_pages).clone()
    }
}
