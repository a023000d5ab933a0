// SPDX-License-Identifier: GPL-2.0

//! What is owed is flushed before the lock is dropped for a while, however it is held and dropped.

mod common;

use common::{frame, vcpu, vm};
use kvmrs_model::{
    kvm::{GfnRange, Locked, MmuLock, PendingFlush, Vcpu, Vm},
    machine::npt,
    sync::rcu,
    tdp_mmu::zap::zap_range,
    world::{cpu::Access, kvm},
};
use std::sync::{
    atomic::{AtomicUsize, Ordering::SeqCst},
    Arc,
};

/// A page that the guest has used.
fn mapped() -> (Arc<Vm>, Vcpu) {
    let vm = vm(npt());
    let vcpu = vcpu(&vm);
    kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
    assert_eq!(vcpu.cpu.translations().len(), 1);
    (vm, vcpu)
}

/// Zaps it. The flush is owed.
fn zap<'vm, M: Locked>(lock: &mut MmuLock<'vm, M>) -> PendingFlush<'vm> {
    let nothing = PendingFlush::none(lock.vm());
    zap_range(lock, GfnRange::one(frame(0)), nothing)
}

fn sleeps<M: Locked>(lock: &mut MmuLock<'_, M>, vcpu: &Vcpu) {
    let mut flush = zap(lock);
    let sleep = || vcpu.cpu.translations().len();
    let (stale, _) = lock.unlocked(rcu::read_lock(), &mut flush, sleep);
    assert_eq!(stale, 0, "the lock is dropped before the flush");
    assert!(!flush.into_caller());
}

fn gives_way<M: Locked>(lock: &mut MmuLock<'_, M>, vcpu: &Vcpu) {
    let (seen, cpu) = (Arc::new(AtomicUsize::new(0)), vcpu.cpu.clone());
    let stale = seen.clone();
    let others = move || stale.store(1 + cpu.translations().len(), SeqCst);
    lock.vm().breaks.set_hook(others);
    let mut flush = zap(lock);
    drop(lock.give_way(rcu::read_lock(), &mut flush));
    assert_eq!(seen.load(SeqCst), 1, "the lock is dropped before the flush");
    assert!(!flush.into_caller());
}

#[test]
fn who_sleeps_flushes_first() {
    let (vm, vcpu) = mapped();
    sleeps(&mut vm.mmu_write(), &vcpu);
    kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
    sleeps(&mut vm.mmu_read(), &vcpu);
    kvm::destroy(&vm, vec![vcpu]);
}

#[test]
fn who_gives_way_flushes_first() {
    let (vm, vcpu) = mapped();
    gives_way(&mut vm.mmu_write(), &vcpu);
    kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
    gives_way(&mut vm.mmu_read(), &vcpu);
    kvm::destroy(&vm, vec![vcpu]);
}
