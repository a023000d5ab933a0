// SPDX-License-Identifier: GPL-2.0

//! What no entry may become: nothing is written, and the VM is marked as broken.

mod common;

use common::{
    entry::{absent, leaf, link},
    frame, guest_with, memory,
};
use kvmrs_model::{
    kvm::{
        log::RingPages,
        spte::{masks, FROZEN, NONPRESENT, WRITABLE},
        table::{NewTable, Proof, SplitMemory, Table, TransitionError},
        types::Pfn,
        AddressSpace, Context, Entry, Exclusive, GfnRange, LeafSpte, Level, Locked, Lockless,
        MemSlot, Mode, NxHugePage, PendingFlush, Raced, Shared, SlotRange, SlotsLocked, Spte,
        State, Vcpu, Vm, VmPage,
    },
    machine::{npt, Machine},
    mm::{notifier::Ended, HostRange},
    sync::rcu,
    tdp_mmu::{leaf::aged, visitor::Step},
    world::{cpu::Access, kvm, view},
};
use std::sync::Arc;

/// The frame of a huge page of the host.
const HUGE: u64 = 256;

/// A VM with a frame mapped by a leaf of `level`.
fn mapped(level: Level) -> (Arc<Vm>, Vcpu) {
    let (vm, vcpu) = guest_with(npt(), level);
    kvm::guest_access(&vcpu, frame(HUGE), Access::Write, |_| ());
    (vm, vcpu)
}

/// The table of `level` on the way to the frame.
fn table_of<'r>(root: &'r VmPage<'_>, rcu: &'r rcu::Guard, level: Level) -> Table<'r> {
    let (cx, mut table) = Context::enter(root.vm(), rcu, root).expect("its own VM");
    while table.level() > level {
        match Entry::read(cx, table, frame(HUGE)).map(Entry::state) {
            Some(State::Link(link)) => table = link.table(),
            _ => panic!("no table"),
        }
    }
    table
}

/// Calls `ask` with the entry of `level` for the frame, twice, and expects to be refused.
fn refused<M: Mode, R: std::fmt::Debug>(
    vcpu: &Vcpu,
    proof: &impl Proof<Mode = M>,
    level: Level,
    ask: impl for<'r> Fn(Entry<'r, M>) -> Result<(), TransitionError<R>>,
) {
    let rcu = rcu::read_lock();
    let root = vcpu.root().expect("a root");
    let (cx, _) = Context::enter(proof, &rcu, &root).expect("its own VM");
    let table = table_of(&root, &rcu, level);
    let read = || Entry::read(cx, table, frame(HUGE)).expect("in the table");
    let before = read().spte();
    for _ in 0..2 {
        let answer = ask(read());
        assert!(
            matches!(answer, Err(TransitionError::Refused)),
            "{answer:?}"
        );
        assert_eq!(read().spte(), before, "the entry was written to");
        assert!(vcpu.vm().take_bug(), "nobody noticed");
    }
}

/// Ends a VM that must be as it was, but for what was refused.
fn end(vm: &Arc<Vm>, vcpu: Vcpu) {
    view::check(vm);
    kvm::destroy(vm, vec![vcpu]);
}

#[test]
fn only_leaves_of_the_right_level_are_mapped() {
    let (vm, vcpu) = mapped(Level::PG_4K);
    kvm::zap_range(&vm, memory());
    refused(&vcpu, &*vm.mmu_read(), Level::PG_4K, |entry| {
        let huge = LeafSpte::new(NONPRESENT, Level::PG_2M);
        absent(entry).map(huge).map(|_| ())
    });
    end(&vm, vcpu);
}

/// C looks frames up in the slot's arrays, and the first before it looks whether there is one.
#[test]
fn the_shadow_mmu_is_asked_for_frames_of_a_slot_alone() {
    let (vm, vcpu) = mapped(Level::PG_4K);
    let (other, others) = mapped(Level::PG_4K);
    vm.use_shadow();
    let (all, end_of) = (memory(), memory().end);
    let ask = |slots_of: &Vm, begun_in: &Vm, range: GfnRange| {
        let mut flush = PendingFlush::none(&vm);
        let range = SlotRange {
            range,
            address_space: AddressSpace::NORMAL,
            may_block: false,
        };
        let host = MemSlot::host_range_of(all);
        slots_of.with_slots(|slots| {
            let begun = begun_in.mmu_write().begin(host, all);
            let mut lock = vm.mmu_write();
            lock.unmap_shadow(&begun, slots, range, &mut flush);
            flush.flush();
            begun.leave_to_end();
        });
        let mut lock = begun_in.mmu_write();
        let begun = lock.begun(&Ended::of(&host)).expect("it began above");
        lock.end(begun);
        vm.take_bug()
    };
    assert!(!ask(&vm, &vm, all), "it may be asked for all of a slot");
    for wrong in [
        GfnRange::new(end_of, end_of),
        GfnRange::new(all.start, all.start),
        GfnRange::new(end_of, all.start),
        GfnRange::new(all.start, end_of.add(1)),
        GfnRange::new(all.start.prev(), end_of),
    ] {
        assert!(ask(&vm, &vm, wrong), "{wrong:?}");
    }
    assert!(ask(&other, &vm, all), "slots of another VM");
    assert!(ask(&vm, &other, all), "an invalidation of another VM");
    end(&vm, vcpu);
    end(&other, others);
}

/// C writes by the slot's arrays, which have no place for other frames.
#[test]
fn pages_of_a_dirty_ring_are_in_their_slot() {
    let (vm, vcpu) = mapped(Level::PG_4K);
    let (locked, slot) = (SlotsLocked::new(&vm), &vm.slots()[0]);
    for beside in [memory().start.prev(), memory().end] {
        assert!(RingPages::new(&locked, slot, beside, &[1]).is_none());
    }
    end(&vm, vcpu);
}

/// Addresses beside a slot show none of its frames.
#[test]
fn a_slot_has_no_frames_elsewhere() {
    let (vm, vcpu) = mapped(Level::PG_4K);
    let (slot, host) = (&vm.slots()[0], MemSlot::host_range_of(memory()));
    for beside in [
        HostRange::new(host.end + 4096, host.end + 8192),
        HostRange::new(0, host.start - 4096),
    ] {
        let frames = slot.frames_in(beside);
        assert!(frames.is_empty() && frames.start <= frames.end);
    }
    end(&vm, vcpu);
}

#[test]
fn what_is_present_or_frozen_is_no_mmio_entry() {
    let (vm, vcpu) = mapped(Level::PG_4K);
    kvm::zap_range(&vm, memory());
    let present = LeafSpte::new(NONPRESENT, Level::PG_4K).spte();
    for value in [present, FROZEN] {
        refused(&vcpu, &*vm.mmu_read(), Level::PG_4K, |entry| {
            absent(entry).set_mmio(value).map(|_| ())
        });
    }
    end(&vm, vcpu);
}

#[test]
fn an_update_with_another_pfn_or_level_is_refused() {
    let (vm, vcpu) = mapped(Level::PG_4K);
    refused(&vcpu, &*vm.mmu_read(), Level::PG_4K, |entry| {
        let other = LeafSpte::new(entry.spte().with(1 << 40), Level::PG_4K);
        leaf(entry).update(other).map(|_| ())
    });
    refused(&vcpu, &*vm.mmu_read(), Level::PG_4K, |entry| {
        let huge = LeafSpte::new(entry.spte(), Level::PG_2M);
        leaf(entry).update(huge).map(|_| ())
    });
    end(&vm, vcpu);
}

#[test]
fn a_table_is_linked_where_it_was_made_for_and_comes_back_otherwise() {
    let (vm, vcpu) = mapped(Level::PG_4K);
    kvm::zap_range(&vm, memory());
    let before = Machine::current().arena.in_use();
    // An entry of the lowest level takes no table at all.
    refused(&vcpu, &*vm.mmu_read(), Level::PG_4K, |entry| {
        let new = NewTable::for_entry(vcpu.alloc_table(), &entry, NxHugePage::Allowed);
        let error = absent(entry).link(new).map(|_| ());
        error.map_err(|error| error.error)
    });
    assert_eq!(
        Machine::current().arena.in_use(),
        before,
        "it came back and was freed"
    );
    end(&vm, vcpu);
}

/// The place of an entry is no proof: its page may be a table of another kind by now.
#[test]
fn a_table_is_linked_for_the_role_that_it_was_made_for() {
    let (vm, vcpu) = mapped(Level::PG_4K);
    let nested = Vcpu::new(&vm, kvm::role().guest_mode());
    kvm::load_root(&nested);
    kvm::zap_all_fast(&vm);
    for vcpu in [&vcpu, &nested] {
        kvm::load_root(vcpu);
    }
    let nested_root = nested.root().expect("a root");
    let level = vcpu.root().expect("a root").level();
    refused(&vcpu, &*vm.mmu_read(), level, |entry| {
        let rcu = rcu::read_lock();
        let root = vcpu.root().expect("a root");
        let (cx, _) = Context::enter(nested.vm(), &rcu, &nested_root).expect("its own VM");
        let other = Entry::read(cx, table_of(&root, &rcu, level), entry.gfn());
        let new = NewTable::for_entry(
            vcpu.alloc_table(),
            &other.expect("in the table"),
            NxHugePage::Allowed,
        );
        let error = absent(entry).link(new).map(|_| ());
        error.map_err(|error| error.error)
    });
    kvm::unload_root(&nested);
    end(&vm, vcpu);
}

#[test]
fn pages_are_counted_up_to_the_largest_that_there_is() {
    let (vm, vcpu) = mapped(Level::PG_4K);
    vm.count_pages(Level::MAX, 1);
    assert!(vm.take_bug());
    end(&vm, vcpu);
}

/// Splits the huge page with a table that was made for the next one.
fn split_with_the_next_ones_table<M: Locked>(vcpu: &Vcpu, proof: &impl Proof<Mode = M>) {
    refused(vcpu, proof, Level::PG_2M, |entry| {
        let rcu = rcu::read_lock();
        let root = vcpu.root().expect("a root");
        let table = table_of(&root, &rcu, Level::PG_2M);
        let next = Entry::read(entry.cx(), table, frame(HUGE + 512)).expect("in the table");
        let memory = SplitMemory::from(vcpu.alloc_table());
        let small = |_, _| Spte::new(0x1000);
        let table = memory.fill(&leaf(next), NxHugePage::Allowed, small);
        let done = leaf(entry).split(table).map(|_| ());
        done.map_err(|error| error.error)
    });
}

#[test]
fn a_huge_page_is_split_into_the_table_that_was_made_for_it() {
    let (vm, vcpu) = mapped(Level::PG_2M);
    kvm::guest_access(&vcpu, frame(HUGE + 512), Access::Write, |_| ());
    split_with_the_next_ones_table::<Shared>(&vcpu, &*vm.mmu_read());
    split_with_the_next_ones_table::<Exclusive>(&vcpu, &*vm.mmu_write());
    end(&vm, vcpu);
}

fn collapse_into_a_small_page<M: Locked>(vcpu: &Vcpu, proof: &impl Proof<Mode = M>) {
    refused(vcpu, proof, Level::PG_2M, |entry| {
        let small = LeafSpte::new(NONPRESENT, Level::PG_4K);
        link(entry).collapse(small).map(|_| ())
    });
}

#[test]
fn a_table_gives_way_to_a_leaf_of_its_entrys_level() {
    let (vm, vcpu) = mapped(Level::PG_4K);
    collapse_into_a_small_page::<Shared>(&vcpu, &*vm.mmu_read());
    collapse_into_a_small_page::<Exclusive>(&vcpu, &*vm.mmu_write());
    end(&vm, vcpu);
}

fn age_into_another_page<M: Mode>(vcpu: &Vcpu, proof: &impl Proof<Mode = M>) {
    refused(vcpu, proof, Level::PG_4K, |entry| {
        let other = |spte| aged(spte).with(1 << 40);
        leaf(entry).age(other).map(|_| ())
    });
}

#[test]
fn a_leaf_maps_the_same_page_when_it_is_old() {
    let (vm, vcpu) = mapped(Level::PG_4K);
    age_into_another_page::<Lockless>(&vcpu, &*vm);
    age_into_another_page::<Shared>(&vcpu, &*vm.mmu_read());
    age_into_another_page::<Exclusive>(&vcpu, &*vm.mmu_write());
    end(&vm, vcpu);
}

#[test]
fn nothing_but_rights_is_given_back() {
    let (vm, vcpu) = mapped(Level::PG_4K);
    kvm::write_track(&vm, frame(HUGE));
    let wrong: [fn(Spte) -> Spte; 4] = [
        |old| old.with(WRITABLE),
        |old| old.with(masks::mmu_writable()),
        |old| old.with(masks::mmu_writable()).with(WRITABLE),
        |old| Spte::new(old.raw() ^ Pfn::new(1).addr()),
    ];
    for wrong in wrong {
        refused(&vcpu, &*vm, Level::PG_4K, |entry| {
            let leaf = leaf(entry);
            let new = wrong(leaf.spte());
            leaf.restore(new)
        });
    }
    end(&vm, vcpu);
}

#[test]
fn a_lost_race_is_worth_another_try_and_a_refusal_is_not() {
    assert_eq!(Step::from(TransitionError::Raced(Raced)), Step::Again);
    assert_eq!(Step::from(TransitionError::<Raced>::Refused), Step::Stop);
}
