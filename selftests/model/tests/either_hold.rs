// SPDX-License-Identifier: GPL-2.0

//! What zaps under the lock for write also does under the lock for read, beside others.

mod common;

use common::{frame, memory, vcpu, vm_with, Options};
use kvmrs_model::{
    kvm::{AddressSpace, Level, Locked, MmuLock, PendingFlush, Shared, SlotRange, Vcpu, Vm},
    machine::{npt, Machine},
    tdp_mmu::zap,
    world::{
        cpu::Access,
        kvm,
        view::{self, Tree},
    },
};
use std::{sync::Arc, thread};

/// Number of frames that are mapped and zapped.
const FRAMES: u64 = 64;

fn touch(vcpu: &Vcpu) {
    for page in 0..FRAMES {
        kvm::guest_access(vcpu, frame(page), Access::Write, |_| ());
    }
}

fn small_pages() -> (Arc<Vm>, Vcpu) {
    let options = Options::default();
    let vm = vm_with(npt(), memory(), Level::PG_4K, options);
    let vcpu = vcpu(&vm);
    touch(&vcpu);
    (vm, vcpu)
}

fn leaves(vcpu: &Vcpu) -> usize {
    let root = vcpu.root().expect("a root");
    Tree::of(vcpu.vm(), &root).leaves.len()
}

/// Unmaps all, for a notifier, and for a change of the memory's type.
fn unmap_both_ways<M: Locked>(lock: &mut MmuLock<'_, M>, vcpu: &Vcpu) {
    let range = SlotRange {
        range: memory(),
        address_space: AddressSpace::NORMAL,
        may_block: true,
    };
    let flush = PendingFlush::none(lock.vm());
    assert!(zap::unmap_range(lock, range, flush).into_caller());
    lock.vm().flush_remote_tlbs();
    assert_eq!(leaves(vcpu), 0);
    let flush = PendingFlush::none(lock.vm());
    assert!(!zap::zap_range(lock, memory(), flush).into_caller());
}

#[test]
fn zaps_leave_the_same_behind() {
    let (vm, vcpu) = small_pages();
    unmap_both_ways(&mut *vm.mmu_read(), &vcpu);
    view::check(&vm);
    touch(&vcpu);
    unmap_both_ways(&mut *vm.mmu_write(), &vcpu);
    view::check(&vm);
    kvm::destroy(&vm, vec![vcpu]);
}

/// Each leaf is zapped and counted once, whoever wins the race for it, and faults map others.
#[test]
fn zaps_race_with_each_other_and_with_faults() {
    let (vm, vcpu) = small_pages();
    let machine = Machine::current();
    let zapper = || {
        machine.enter();
        for _ in 0..200 {
            let mut lock = vm.mmu_read();
            let flush = PendingFlush::none(&vm);
            drop(zap::zap_range::<Shared>(&mut lock, memory(), flush));
        }
    };
    thread::scope(|scope| {
        scope.spawn(zapper);
        scope.spawn(zapper);
        for _ in 0..20 {
            touch(&vcpu);
        }
    });
    view::check(&vm);
    kvm::destroy(&vm, vec![vcpu]);
}
