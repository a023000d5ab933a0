// SPDX-License-Identifier: GPL-2.0

//! Single rules, each by the shortest way to break it.

mod common;

use common::{frame, leaf::with_current, memory, tree, vcpu, vm, vm_with, Options};
use kvmrs_model::{
    kvm::{
        fault::{error, Request},
        table::{Leaf, SplitMemory, Table},
        types::Pfn,
        AddressSpace, Context, Entry, Flush, Gfn, GfnRange, LeafBits, Level, Outcome, PageFault,
        PendingFlush, Shared, SlotsLocked, State, Vcpu, Vm, Waiver,
    },
    machine::{formats, npt, Machine},
    sync::rcu,
    tdp_mmu,
    world::{
        breaks::{ALWAYS, NEVER},
        cpu::Access,
        kvm,
        view::{self, Tree},
    },
};
use std::{
    sync::{Arc, Barrier},
    thread,
};

/// A fault that the test makes up.
fn fault_with(vcpu: &Vcpu, change: impl FnOnce(&mut Request<'_>)) -> Outcome {
    let page = vcpu.vm().primary.page(frame(0)).expect("memory");
    let mut request = Request {
        gfn: frame(0),
        pfn: page.pfn_of(frame(0)),
        slot: vcpu.vm().slot(AddressSpace::NORMAL, frame(0)),
        error_code: error::USER,
        prefetch: false,
        map_writable: true,
        max_level: Level::PG_4K,
    };
    change(&mut request);
    let root = vcpu.root().expect("a root");
    with_current(PageFault::new(vcpu, request), |fault| {
        tdp_mmu::map::map(&root, fault)
    })
}

/// A VM with one frame mapped.
fn mapped() -> (Arc<Vm>, Vcpu) {
    let vm = vm(npt());
    let vcpu = vcpu(&vm);
    kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
    (vm, vcpu)
}

/// Calls `f` with the table of 4K entries that maps the frame.
fn with_table<R>(vcpu: &Vcpu, f: impl FnOnce(Context<'_, Shared>, Table<'_>) -> R) -> R {
    let (lock, rcu) = (vcpu.vm().mmu_read(), rcu::read_lock());
    let root = vcpu.root().expect("a root");
    let (cx, mut table) = Context::enter(&*lock, &rcu, &root).expect("its own VM");
    while let Some(State::Link(link)) = Entry::read(cx, table, frame(0)).map(Entry::state) {
        table = link.table();
    }
    f(cx, table)
}

/// The leaf that maps the frame.
fn leaf<'r>(cx: Context<'r, Shared>, table: Table<'r>) -> Leaf<'r, Shared> {
    match Entry::read(cx, table, frame(0)).map(Entry::state) {
        Some(State::Leaf(leaf)) => leaf,
        _ => panic!("the frame is not mapped"),
    }
}

#[test]
fn mmio_over_a_present_leaf_zaps_and_flushes_it_first() {
    for (name, format) in formats() {
        let vm = vm(format);
        let vcpu = vcpu(&vm);
        kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
        let lock = vm.mmu_write();
        let slot = &vm.slots()[0];
        drop(tdp_mmu::dirty::write_protect_gfn(
            &lock,
            slot,
            frame(0),
            Level::PG_4K,
        ));
        drop(lock);
        kvm::guest_access(&vcpu, frame(0), Access::Read, |_| ());

        // The slot is gone, but its zap is still to come.
        let flushes = vm.stats.flushes.get();
        let outcome = fault_with(&vcpu, |request| {
            request.slot = None;
            request.error_code = error::USER | error::WRITE;
        });
        assert_eq!(outcome, Outcome::Retry, "{name}");
        assert!(tree(&vcpu).leaves.is_empty(), "{name}: still mapped");
        assert!(vcpu.cpu.translations().is_empty(), "{name}: still in a TLB");
        assert_eq!(vm.stats.flushes.get(), flushes + 1, "{name}");

        let outcome = fault_with(&vcpu, |request| request.slot = None);
        let mmio = match format.mmio_caching {
            true => Outcome::Emulate,
            false => Outcome::Fixed,
        };
        assert_eq!(outcome, mmio, "{name}");
        assert_eq!(tree(&vcpu).others.len(), 1, "{name}");
        // And back: memory over an MMIO entry needs no flush.
        assert_eq!(fault_with(&vcpu, |_| ()), Outcome::Fixed, "{name}");
        assert_eq!(vm.stats.flushes.get(), flushes + 1, "{name}");
        kvm::destroy(&vm, vec![vcpu]);
    }
}

#[test]
fn a_leaf_does_not_change_its_pfn() {
    let (vm, vcpu) = mapped();
    let before = tree(&vcpu).leaf(frame(0)).expect("a leaf").2;
    let slot = &vm.slots()[0];
    tdp_mmu::dirty::write_protect_slot(&mut vm.mmu_read(), slot, Level::PG_4K);
    // A write to a leaf that is read-only, with a pfn that no notifier has announced.
    let outcome = fault_with(&vcpu, |request| {
        request.error_code = error::USER | error::WRITE;
        request.pfn = Pfn::new(0x9999);
    });
    assert_eq!(outcome, Outcome::Retry);
    assert!(vm.is_bugged(), "nobody noticed");
    let after = tree(&vcpu).leaf(frame(0)).expect("a leaf").2;
    assert_eq!(after.pfn(), before.pfn());
}

#[test]
fn a_spurious_fault_with_another_pfn_is_a_bug_of_the_vms() {
    let (vm, vcpu) = mapped();
    let outcome = fault_with(&vcpu, |request| request.pfn = Pfn::new(0x9999));
    assert_eq!(outcome, Outcome::Spurious);
    assert!(vm.is_bugged(), "nobody noticed");
}

#[test]
fn a_stale_value_changes_nothing() {
    let (vm, vcpu) = mapped();
    with_table(&vcpu, |cx, table| {
        let (stale, fresh) = (leaf(cx, table), leaf(cx, table));
        let change = fresh
            .clear(LeafBits::dirty())
            .expect("nobody else is there");
        assert!(stale.zap().is_err(), "the entry had changed");
        assert_eq!(leaf(cx, table).spte(), change.new);
    });
    kvm::destroy(&vm, vec![vcpu]);
}

#[test]
fn splitting_without_memory_leaves_the_huge_page() {
    for exclusive in [false, true] {
        let vm = vm(npt());
        let vcpu = vcpu(&vm);
        for page in [256, 768, 1280] {
            kvm::guest_access(&vcpu, frame(page), Access::Write, |_| ());
        }
        assert_eq!(vm.stats.pages[1].get(), 3);
        Machine::current().fail_allocations_after(1);
        match exclusive {
            true => kvm::try_split_exclusive(&vm, &vm.slots()[0], memory(), Level::PG_4K),
            false => kvm::try_split(&vm, &vm.slots()[0], memory(), Level::PG_4K),
        }
        view::check(&vm);
        assert_eq!((vm.stats.pages[0].get(), vm.stats.pages[1].get()), (512, 2));
        Machine::current().fail_allocations_after(u64::MAX);
        kvm::try_split(&vm, &vm.slots()[0], memory(), Level::PG_4K);
        assert_eq!(
            (vm.stats.pages[0].get(), vm.stats.pages[1].get()),
            (3 * 512, 0)
        );
        kvm::destroy(&vm, vec![vcpu]);
    }
}

#[test]
fn one_gib_splits_down_to_small_pages_and_comes_back() {
    let gib = GfnRange::sized(Gfn::new(1 << 18), 1 << 18);
    let vm = vm_with(npt(), gib, Level::PG_1G, Options::default());
    let vcpu = vcpu(&vm);
    kvm::guest_access(&vcpu, gib.start, Access::Write, |_| ());
    assert_eq!(vm.stats.pages[2].get(), 1);
    let part = GfnRange::sized(gib.start.add(5000), 600);
    kvm::try_split(&vm, &vm.slots()[0], part, Level::PG_4K);
    view::check(&vm);
    assert_eq!(vm.stats.pages[2].get(), 0);
    // The part touches two or three pages of 2 MiB; the others stay large.
    assert_eq!(
        vm.stats.pages[0].get(),
        512 * (512 - vm.stats.pages[1].get())
    );
    kvm::recover(&vm, &vm.slots()[0]);
    view::check(&vm);
    assert_eq!(
        vm.stats.pages.each_ref().map(|pages| pages.get()),
        [0, 0, 1, 0, 0]
    );
    kvm::destroy(&vm, vec![vcpu]);
}

#[test]
fn a_walk_that_gives_way_flushes_first() {
    let (vm, vcpu) = mapped();
    for page in 1..100 {
        kvm::guest_access(&vcpu, frame(page), Access::Write, |_| ());
    }
    // Others run as soon as the lock is dropped: whatever was zapped by then must be unusable.
    let (weak, cpu) = (Arc::downgrade(&vm), vcpu.cpu.clone());
    let root = vcpu.root().expect("a root").id();
    vm.breaks.set_hook(move || {
        let vm = weak.upgrade().expect("the VM");
        let tree = Tree::of(
            &vm,
            view::roots(&vm)
                .into_iter()
                .find(|r| r.id() == root)
                .expect("it"),
        );
        for (gfn, _) in cpu.translations() {
            assert!(tree.leaf(gfn).is_some(), "{gfn:?} is zapped but in a TLB");
        }
    });
    vm.breaks.set(ALWAYS);
    kvm::zap_range(&vm, memory());
    assert!(vm.breaks.given() >= 99);
    vm.breaks.set(NEVER);
    vm.breaks.set_hook(|| ());
    kvm::destroy(&vm, vec![vcpu]);
}

#[test]
fn a_pending_flush_that_is_forgotten_flushes() {
    let (vm, vcpu) = mapped();
    let mut pending = PendingFlush::none(&vm);
    pending.add(a_flush(&vcpu));
    let before = vm.stats.flushes.get();
    drop(pending);
    assert_eq!(vm.stats.flushes.get(), before + 1, "forgotten for good");
    drop(PendingFlush::none(&vm));
    a_flush(&vcpu).waive(Waiver::InvalidRoot);
    assert!(PendingFlush::from_caller(&vm, true).into_caller());
    assert_eq!(vm.stats.flushes.get(), before + 1, "none is owed");
    assert_eq!(vm.stats.merged.get(), 0, "nothing to merge with");
    kvm::destroy(&vm, vec![vcpu]);
}

#[test]
fn changes_that_share_a_flush_are_counted() {
    let (vm, vcpu) = mapped();
    fn owes<'a>(vcpu: &Vcpu, changes: u32, mut pending: PendingFlush<'a>) -> PendingFlush<'a> {
        (0..changes).for_each(|_| pending.add(a_flush(vcpu)));
        pending
    }
    let (before, merged) = (vm.stats.flushes.get(), || vm.stats.merged.get());
    owes(&vcpu, 3, PendingFlush::none(&vm)).flush();
    assert_eq!(merged(), 2, "three had one");
    assert!(owes(&vcpu, 2, PendingFlush::from_caller(&vm, true)).into_caller());
    assert_eq!(merged(), 4, "two have that of C's caller");
    let mut twice = owes(&vcpu, 1, PendingFlush::none(&vm));
    twice.flush();
    drop(owes(&vcpu, 1, twice));
    assert_eq!(merged(), 4, "a flush each");
    assert_eq!(vm.stats.flushes.get(), before + 3);
    kvm::destroy(&vm, vec![vcpu]);
}

/// The flush that write tracking owes.
fn a_flush(vcpu: &Vcpu) -> Flush {
    with_table(vcpu, |cx, table| {
        leaf(cx, table)
            .write_track()
            .expect("nobody else is there")
            .1
    })
}

#[test]
#[should_panic(expected = "late use")]
fn a_freed_table_is_not_used_unnoticed() {
    let (vm, vcpu) = mapped();
    let table = *tree(&vcpu).links.values().next().expect("a table");
    kvm::zap_all_fast(&vm);
    let _ = Machine::current().arena.page(table).role();
}

#[test]
fn a_table_stays_for_readers_that_came_before_its_end() {
    let (vm, vcpu) = mapped();
    let table = *tree(&vcpu).links.values().next().expect("a table");
    let machine = Machine::current();
    let barrier = Arc::new(Barrier::new(2));
    let reader = thread::spawn({
        let (machine, barrier) = (machine.clone(), barrier.clone());
        move || {
            machine.enter();
            let _rcu = rcu::read_lock();
            barrier.wait();
            barrier.wait();
            let _ = machine.arena.page(table).role();
        }
    });
    barrier.wait();
    kvm::zap_all_fast(&vm);
    assert!(machine.arena.in_use() > 1, "freed under a reader");
    barrier.wait();
    reader.join().expect("the reader saw the table");
    assert_eq!(machine.arena.in_use(), 1, "only the vCPU's root is left");
    kvm::destroy(&vm, vec![vcpu]);
}

#[test]
#[should_panic(expected = "may sleep")]
fn sleeping_under_the_lock_is_found_out() {
    let vm = vm(npt());
    let _lock = vm.mmu_read();
    let _ = SplitMemory::alloc();
}

#[test]
fn a_root_outlives_its_invalidation_until_the_last_user() {
    let (vm, vcpu) = mapped();
    let other = common::vcpu(&vm);
    let old = vcpu.root().expect("a root").id();
    kvm::zap_all_fast(&vm);
    kvm::load_root(&vcpu);
    assert_ne!(vcpu.root().expect("a root").id(), old);
    assert_eq!(
        view::roots(&vm).len(),
        2,
        "the other vCPU still has the old one"
    );
    assert!(other.root().expect("a root").role().is_invalid());
    kvm::load_root(&other);
    assert_eq!(view::roots(&vm).len(), 1);
    assert_eq!(
        other.root().expect("a root").id(),
        vcpu.root().expect("a root").id()
    );
    kvm::destroy(&vm, vec![vcpu, other]);
}

#[test]
fn notifiers_find_invalid_roots() {
    let (vm, vcpu) = mapped();
    let root = vcpu.root().expect("a root");
    let slots = SlotsLocked::new(&vm);
    vm.mmu_write().invalidate_roots(&slots);
    kvm::invalidate(&vm, memory(), || ());
    assert!(
        Tree::of(&vm, &root).leaves.is_empty(),
        "the old tree still maps what went"
    );
    tdp_mmu::roots::zap_invalidated_roots::<Shared>(&mut vm.mmu_read(), &slots);
    kvm::destroy(&vm, vec![vcpu]);
}
