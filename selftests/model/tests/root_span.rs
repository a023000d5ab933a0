// SPDX-License-Identifier: GPL-2.0

//! Addresses above those that a root of four levels translates, where slots may lie all the same.
//! Modulo the root's size, each of them is a low one.

use kvmrs_model::{
    kvm::{
        memory::Setup, types::Pfn, AddressSpace, Gfn, GfnRange, Level, MemSlot, Outcome, Role,
        Vcpu, Vm,
    },
    machine::{formats, npt, Machine, Masks},
    sync::rcu,
    tdp_mmu,
    world::{
        cpu::Access,
        kvm,
        view::{self, Tree},
    },
};
use std::sync::Arc;

/// A page at the bottom, and the one at the same place above the reach of four levels.
const LOW: Gfn = Gfn::new(1);
const HIGH: Gfn = Gfn::new((1 << 36) + 1);
/// Pages without a slot, at the same distance.
const LOW_HOLE: Gfn = Gfn::new(0x4_0001);
const HIGH_HOLE: Gfn = Gfn::new((1 << 36) + 0x4_0001);

/// A VM with memory at both places, and a vCPU whose root has so many levels.
fn vm_with_levels(format: Masks, levels: u32) -> (Arc<Vm>, Vcpu) {
    Machine::new(format).enter();
    let around = |gfn: Gfn| GfnRange::sized(gfn.round_down(Level::PG_2M), 512);
    let vm = Vm::new(Setup {
        slots: [LOW, HIGH]
            .map(|gfn| MemSlot::new(AddressSpace::NORMAL, around(gfn)))
            .into(),
        nx_huge_pages: false,
        cpu_dirty_log: false,
    });
    for gfn in [LOW, HIGH] {
        vm.primary.populate(gfn, Level::PG_4K);
        vm.primary.populate(gfn.add(1), Level::PG_4K);
    }
    let levels = Level::new(levels).expect("a level");
    let vcpu = Vcpu::new(&vm, Role::root(levels));
    kvm::load_root(&vcpu);
    (vm, vcpu)
}

fn tree(vcpu: &Vcpu) -> Tree {
    Tree::of(vcpu.vm(), &vcpu.root().expect("a root"))
}

fn holds(vcpu: &Vcpu, gfn: Gfn) -> bool {
    let read = kvm::guest_access(vcpu, gfn, Access::Read, |_| ());
    read.is_some_and(|pfn| vcpu.vm().primary.holds(gfn, Pfn::new(pfn)))
}

#[test]
fn a_page_that_the_root_does_not_span_is_mapped_nowhere() {
    for (name, format) in formats() {
        let (vm, vcpu) = vm_with_levels(format, 4);
        for outcome in [
            kvm::prefetch(&vcpu, HIGH),
            kvm::fault(&vcpu, HIGH, Access::Read),
            kvm::fault(&vcpu, HIGH, Access::Write),
        ] {
            assert_eq!(outcome, Outcome::OutOfReach, "{name}: mapped somewhere");
        }
        let tree = tree(&vcpu);
        assert!(tree.leaves.is_empty() && tree.links.is_empty(), "{name}");

        assert!(holds(&vcpu, LOW), "{name}: the guest reads another page");
        assert_eq!(kvm::prefetch(&vcpu, HIGH), Outcome::OutOfReach, "{name}");
        view::check(&vm);
        kvm::destroy(&vm, vec![vcpu]);
    }
}

#[test]
fn what_has_no_slot_there_is_emulated() {
    for (name, format) in formats() {
        let (vm, vcpu) = vm_with_levels(format, 4);
        assert_eq!(kvm::prefetch(&vcpu, HIGH_HOLE), Outcome::Emulate, "{name}");
        let read = kvm::guest_access(&vcpu, HIGH_HOLE, Access::Read, |_| ());
        assert_eq!(read, None, "{name}");
        assert!(tree(&vcpu).others.is_empty(), "{name}: a low MMIO entry");

        // Nor does it take away what is mapped at a low address.
        assert!(holds(&vcpu, LOW), "{name}");
        let above = LOW.add(1 << 37);
        assert_eq!(kvm::prefetch(&vcpu, above), Outcome::Emulate, "{name}");
        assert_eq!(tree(&vcpu).leaves.len(), 1, "{name}");
        kvm::destroy(&vm, vec![vcpu]);
    }
}

#[test]
fn five_levels_span_it() {
    for (name, format) in formats() {
        let (vm, vcpu) = vm_with_levels(format, 5);
        assert_eq!(kvm::prefetch(&vcpu, HIGH), Outcome::Fixed, "{name}");
        assert!(holds(&vcpu, HIGH) && holds(&vcpu, LOW), "{name}");
        assert!(holds(&vcpu, HIGH), "{name}: two translations are one");
        let leaves: Vec<_> = tree(&vcpu).leaves.into_keys().collect();
        assert_eq!(leaves, [LOW, HIGH], "{name}");
        kvm::destroy(&vm, vec![vcpu]);
    }
}

/// The fast path, and C's MMIO checks, look entries up without the lock.
#[test]
fn a_lookup_finds_no_entry_there() {
    let (vm, vcpu) = vm_with_levels(npt(), 4);
    assert!(holds(&vcpu, LOW));
    assert_eq!(kvm::prefetch(&vcpu, LOW_HOLE), Outcome::Emulate);
    let visits = |gfn| {
        let (rcu, mut visits) = (rcu::read_lock(), 0);
        let root = vcpu.root().expect("a root");
        tdp_mmu::lookup::for_each_on_path(&rcu, &root, gfn, |_| visits += 1);
        visits
    };
    assert_eq!([LOW, LOW_HOLE].map(visits), [4, 4]);
    assert_eq!([HIGH, HIGH_HOLE].map(visits), [0, 0]);
    kvm::destroy(&vm, vec![vcpu]);
}

/// Whatever is done to the range up there, the low pages stay as they are.
#[test]
fn ranges_do_not_wrap_round() {
    for levels in [4, 5] {
        let (vm, vcpu) = vm_with_levels(npt(), levels);
        kvm::guest_access(&vcpu, LOW, Access::Write, |_| ());
        let before = tree(&vcpu).leaf(LOW).expect("a leaf").2;
        let high = &vm.slots()[1];
        kvm::start_dirty_log(&vm, high, kvm::Split::Eagerly);
        kvm::age(&vm, high.range());
        kvm::write_track(&vm, HIGH);
        kvm::stop_dirty_log(&vm, high);
        kvm::zap_range(&vm, high.range());
        kvm::invalidate(&vm, high.range(), || ());
        assert_eq!(tree(&vcpu).leaf(LOW).expect("a leaf").2, before);
        kvm::destroy(&vm, vec![vcpu]);
    }
}

/// A range that begins within the root's span and ends beyond it.
#[test]
fn a_range_that_leaves_the_root_ends_with_it() {
    let (vm, vcpu) = vm_with_levels(npt(), 4);
    assert!(holds(&vcpu, LOW) && holds(&vcpu, LOW.add(1)));
    let from_second = GfnRange::new(LOW.add(1), HIGH.add(1));
    kvm::zap_range(&vm, from_second);
    let leaves: Vec<_> = tree(&vcpu).leaves.into_keys().collect();
    assert_eq!(leaves, [LOW]);
    kvm::destroy(&vm, vec![vcpu]);
}
