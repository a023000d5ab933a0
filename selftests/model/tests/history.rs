// SPDX-License-Identifier: GPL-2.0

//! Random histories of all that KVM asks of the TDP MMU, in one thread.
//!
//! After each step the tables, the statistics and what CPUs hold in their TLBs must agree with
//! the host's page tables; at the end nothing may be left.

mod common;

use common::{
    frame, memory,
    ops::{op, Op},
    smm_vcpu, vcpu, vm_with, wide_vcpu, Options, FIRST, PAGES,
};
use kvmrs_model::{
    kvm::{spte::LeafSpte, AddressSpace, Gfn, GfnRange, Level, Vcpu, Vm},
    machine::formats,
    tdp_mmu,
    world::{cpu::Access, kvm, notifier::Notifier, ring, view},
};
use proptest::prelude::*;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

/// A VM and what is known of it without looking at its tables.
struct World {
    vm: Arc<Vm>,
    vcpus: Vec<Vcpu>,
    /// Versions of the frames' contents, and those that were sent when they were last harvested.
    written: RefCell<BTreeMap<Gfn, u64>>,
    /// Writes that came while their slot's log was on, by address space.
    unlogged: RefCell<[BTreeSet<Gfn>; 2]>,
    /// What was in dirty rings since the last harvest, by address space.
    collected: RefCell<[BTreeSet<Gfn>; 2]>,
    /// Notifiers that have started, with their ranges.
    active: RefCell<VecDeque<(GfnRange, Notifier)>>,
}

fn range(from: u64, pages: u64) -> GfnRange {
    let start = frame(from);
    GfnRange::sized(start, pages).clamp_end(memory().end)
}

impl World {
    fn new(format: usize, options: Options) -> Self {
        let format = formats()[format].1;
        // PML needs dirty bits.
        let options = Options {
            cpu_dirty_log: options.cpu_dirty_log && format.ad_enabled,
            ..options
        };
        let vm = vm_with(format, memory(), Level::PG_2M, options);
        let second = match options.five_levels {
            true => wide_vcpu(&vm),
            false => vcpu(&vm),
        };
        let vcpus = vec![vcpu(&vm), second, smm_vcpu(&vm)];
        Self {
            vm,
            vcpus,
            written: RefCell::default(),
            unlogged: RefCell::default(),
            collected: RefCell::default(),
            active: RefCell::default(),
        }
    }

    fn slot(&self, smm: bool) -> &kvmrs_model::kvm::MemSlot {
        &self.vm.slots()[usize::from(smm)]
    }

    fn access(&self, cpu: usize, gfn: Gfn, access: Access) {
        let vcpu = &self.vcpus[cpu];
        let as_id = vcpu.root_role().address_space().raw() as usize;
        let logged = self.vm.slots()[as_id].is_dirty_tracked();
        let writable = self.vm.primary.page(gfn).is_some_and(|p| p.writable);
        if access == Access::Write && !writable {
            return; // The host would have to make the page writable first.
        }
        if vm_retries(&self.vm, gfn) {
            return; // The guest would have to wait for the notifier's end.
        }
        let may = access != Access::Write || !self.vm.is_write_tracked(gfn);
        if vcpu.cpu.ring.is_soft_full() {
            self.collect();
        }
        let done = kvm::guest_access(vcpu, gfn, access, |pfn| {
            let pfn = kvmrs_model::kvm::types::Pfn::new(pfn);
            assert!(self.vm.primary.holds(gfn, pfn), "{gfn:?} went to {pfn:?}");
            if access == Access::Write {
                *self.written.borrow_mut().entry(gfn).or_default() += 1;
                if logged {
                    self.unlogged.borrow_mut()[as_id].insert(gfn);
                }
            }
        });
        assert_eq!(done.is_some(), may, "{access:?} at {gfn:?}");
    }

    fn run(&self, op: &Op) {
        let vm = &*self.vm;
        match *op {
            Op::Access(cpu, gfn, access) => self.access(cpu, frame(gfn), access),
            Op::Mmio(cpu) => {
                let done = kvm::guest_access(&self.vcpus[cpu], memory().end, Access::Read, |_| ());
                assert!(done.is_none(), "there is no memory");
            }
            Op::Prefetch(cpu, gfn) => {
                if self.vcpus[cpu]
                    .root()
                    .is_some_and(|root| !root.role().is_invalid())
                {
                    kvm::prefetch(&self.vcpus[cpu], frame(gfn));
                }
            }
            Op::Move(gfn, level) => {
                let level = Level::new(level).expect("a level");
                let page = GfnRange::sized(frame(gfn).round_down(Level::PG_2M), 512);
                kvm::invalidate(vm, page, || vm.primary.populate(frame(gfn), level));
            }
            Op::Start(from, pages, may_block) => {
                let range = range(from, pages);
                let notifier = Notifier::start(vm, range, may_block);
                self.active.borrow_mut().push_back((range, notifier));
            }
            Op::End => self.end_notifier(),
            Op::SplitHost(gfn) => {
                let page = GfnRange::sized(frame(gfn).round_down(Level::PG_2M), 512);
                kvm::invalidate(vm, page, || vm.primary.split(frame(gfn)));
            }
            Op::Protect(gfn, writable) => {
                let page = GfnRange::sized(frame(gfn).round_down(Level::PG_2M), 512);
                kvm::invalidate(vm, page, || vm.primary.set_writable(frame(gfn), writable));
            }
            Op::Zap(from, pages) => {
                kvm::zap_range(vm, range(from, pages));
                self.check_range(range(from, pages), |_, level| panic!("{level:?} is mapped"));
            }
            Op::ZapAllFast => {
                kvm::zap_all_fast(vm);
                self.check_range(memory(), |_, level| panic!("{level:?} is mapped"));
            }
            Op::Reload(cpu) => kvm::load_root(&self.vcpus[cpu]),
            Op::Log { smm, split } => {
                if !self.slot(smm).is_dirty_tracked() {
                    let split = match split {
                        true => kvm::Split::Eagerly,
                        false => kvm::Split::AtFaults,
                    };
                    kvm::start_dirty_log(vm, self.slot(smm), split);
                }
            }
            Op::Harvest(smm) => self.harvest(smm),
            Op::StopLog(smm) => {
                if self.slot(smm).is_dirty_tracked() {
                    self.harvest(smm);
                    kvm::stop_dirty_log(vm, self.slot(smm));
                }
            }
            Op::Split {
                from,
                pages,
                exclusive,
                memory,
            } => {
                vm_memory(vm, memory);
                let (slot, range) = (self.slot(false), range(from, pages));
                match exclusive {
                    true => kvm::try_split_exclusive(vm, slot, range, Level::PG_4K),
                    false => kvm::try_split(vm, slot, range, Level::PG_4K),
                }
                vm_memory(vm, None);
                self.check_range(range, |space, level| {
                    let split =
                        space != AddressSpace::NORMAL || memory.is_some() || level == Level::PG_4K;
                    assert!(split, "a huge page is left");
                });
            }
            Op::Recover(smm) => kvm::recover(vm, self.slot(smm)),
            Op::Age(from, pages, test_only) => self.age(range(from, pages), test_only),
            Op::Track(gfn) => kvm::write_track(vm, frame(gfn)),
            Op::NxWorker(most) => tdp_mmu::nx::recover(vm, most.into()),
            Op::Nx(on) => kvm::switch_nx_huge_pages(vm, on),
            Op::Breaks(pattern) => vm.breaks.set(pattern),
        }
    }

    /// Shows `judge` the address space and size of each page that overlaps `range` in any tree.
    fn check_range(&self, range: GfnRange, judge: impl Fn(AddressSpace, Level)) {
        for root in view::roots(&self.vm) {
            for (gfn, (level, _)) in &view::Tree::of(&self.vm, root).leaves {
                if *gfn < range.end && range.start < gfn.add(level.pages()) {
                    judge(root.role().address_space(), *level);
                }
            }
        }
    }

    /// Ends the oldest notifier, after small pages of its range have got other memory.
    fn end_notifier(&self) {
        let oldest = self.active.borrow_mut().pop_front();
        let Some((range, notifier)) = oldest else {
            return;
        };
        for gfn in [range.start, range.end.prev()] {
            self.vm.primary.move_small(gfn);
        }
        notifier.end(&self.vm);
    }

    /// Empties the dirty rings.
    fn collect(&self) {
        for (space, gfn) in ring::collect(&self.vm) {
            self.collected.borrow_mut()[space as usize].insert(gfn);
        }
    }

    /// Each write since the last harvest must be in this one.
    fn harvest(&self, smm: bool) {
        if !self.slot(smm).is_dirty_tracked() {
            return;
        }
        self.collect();
        let mut dirty = std::mem::take(&mut self.collected.borrow_mut()[usize::from(smm)]);
        dirty.extend(kvm::harvest(&self.vm, self.slot(smm)));
        let missed = std::mem::take(&mut self.unlogged.borrow_mut()[usize::from(smm)]);
        let missed: Vec<_> = missed.difference(&dirty).collect();
        assert!(missed.is_empty(), "writes are not in the log: {missed:?}");
    }

    /// What was aged is old, and stays so until it is accessed.
    fn age(&self, range: GfnRange, test_only: bool) {
        let young = kvm::test_age(&self.vm, range);
        let again = match test_only {
            true => kvm::test_age(&self.vm, range),
            false => kvm::age(&self.vm, range),
        };
        assert_eq!(again, young);
        if !test_only {
            assert!(!kvm::test_age(&self.vm, range), "young after aging");
        }
    }

    /// Compares tables and TLBs with what the host has.
    fn check(&self) {
        let vm = &*self.vm;
        view::check(vm);
        for root in view::roots(vm) {
            for (gfn, (level, spte)) in &view::Tree::of(vm, root).leaves {
                let leaf = LeafSpte::new(*spte, *level);
                self.check_leaf(*gfn, leaf, root.role().address_space());
            }
        }
        for vcpu in &self.vcpus {
            if vcpu.root().is_none_or(|root| root.role().is_invalid()) {
                continue; // It flushes before it uses any of it again.
            }
            for (gfn, held) in vcpu.cpu.translations() {
                self.check_leaf(gfn, held.leaf, vcpu.root_role().address_space());
            }
        }
    }

    /// The guest may only get at what the host lets it.
    fn check_leaf(&self, gfn: Gfn, leaf: LeafSpte, space: AddressSpace) {
        let (vm, level) = (&*self.vm, leaf.level());
        let what = format!("{gfn:?} {leaf:?}");
        let page = vm
            .primary
            .page(gfn)
            .unwrap_or_else(|| panic!("{what}: no memory"));
        assert!(page.level >= level, "{what}: the host's page is smaller");
        assert_eq!(
            page.pfn_of(gfn),
            leaf.spte().pfn(),
            "{what}: the host has {page:?}"
        );
        assert!(vm.slot(space, gfn).is_some(), "{what}: outside of the slot");
        if leaf.spte().is_writable() {
            assert!(page.writable, "{what}: the host's page is read-only");
            let pages = gfn.raw()..gfn.raw() + level.pages();
            let mut tracked = pages.map(Gfn::new).filter(|gfn| vm.is_write_tracked(*gfn));
            assert_eq!(tracked.next(), None, "{what}: writes are tracked");
        }
    }
}

/// The life of a VM.
fn live(format: usize, options: Options, ops: &[Op]) {
    let world = World::new(format, options);
    for op in ops {
        world.run(op);
        world.check();
    }
    while !world.active.borrow().is_empty() {
        world.end_notifier();
    }
    let World { vm, vcpus, .. } = world;
    kvm::destroy(&vm, vcpus);
}

/// Whether faults at `gfn` retry until a notifier ends.
fn vm_retries(vm: &Vm, gfn: Gfn) -> bool {
    vm.invalidations.is_active(gfn)
}

/// How many more allocations work.
fn vm_memory(_vm: &Vm, left: Option<u64>) {
    let machine = kvmrs_model::machine::Machine::current();
    machine.fail_allocations_after(left.unwrap_or(u64::MAX));
}

proptest! {
    #![proptest_config(common::config(192, "tests/regressions/history.txt"))]

    #[test]
    fn any_history_agrees_with_the_host(
        format in 0..4usize,
        nx_huge_pages: bool,
        cpu_dirty_log: bool,
        five_levels: bool,
        dirty_rings: bool,
        ops in prop::collection::vec(op(), 1..60),
    ) {
        live(format, Options { nx_huge_pages, cpu_dirty_log, five_levels, dirty_rings }, &ops);
    }
}

/// Both address spaces have their own log of what the CPUs log by themselves.
#[test]
fn a_harvest_leaves_the_other_address_spaces_log_alone() {
    let options = Options {
        cpu_dirty_log: true,
        ..Options::default()
    };
    let log = |smm, split| Op::Log { smm, split };
    let ops = [
        log(true, false),
        Op::Access(0, 256, Access::Read),
        log(false, true),
        Op::Access(0, 256, Access::Write),
        Op::Harvest(true),
        Op::Harvest(false),
    ];
    live(0, options, &ops);
}

/// The first and last frames of the slot lie in huge pages of the host's that stick out of it.
#[test]
fn the_slots_ends_are_not_mapped_by_huge_pages() {
    for format in 0..4 {
        let world = World::new(format, Options::default());
        world.access(0, frame(0), Access::Write);
        world.access(0, frame(PAGES - 1), Access::Write);
        world.access(0, frame(256), Access::Write);
        world.check();
        let pages = &world.vm.stats.pages;
        assert_eq!((pages[0].get(), pages[1].get()), (2, 1));
        assert_eq!(frame(256).raw() % 512, 0, "{FIRST}");
        let World { vm, vcpus, .. } = world;
        kvm::destroy(&vm, vcpus);
    }
}
