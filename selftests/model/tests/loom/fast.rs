// SPDX-License-Identifier: GPL-2.0

//! Faults that do not take `mmu_lock`, and who does.

use super::{
    common::Options,
    pair::{explore, Task, World},
};
use kvmrs_model::{
    atomic::{plain::AtomicU64, Arc, Ordering::SeqCst},
    kvm::{Gfn, GfnRange, Vm},
    machine::{ept_without_ad, npt, Masks},
    world::{cpu::Access, kvm, variants::Variant},
};

/// Frame 0 is mapped, and write-protected for the dirty log.
fn logged(format: Masks, vcpus: usize) -> World {
    let world = World::new(format, Options::default(), vcpus);
    kvm::start_dirty_log(&world.vm, World::slot(&world.vm), kvm::Split::AtFaults);
    world.access(0, 0, Access::Write)();
    assert!(harvests(&world.vm));
    world
}

/// Whether frame 0 is in the log, which is taken.
fn harvests(vm: &Vm) -> bool {
    kvm::harvest(vm, World::slot(vm)).contains(&Gfn::new(0))
}

#[test]
fn fast_zap() {
    explore("fast-zap", 4, || {
        let world = logged(npt(), 1);
        world.race([world.access(0, 0, Access::Write), world.moves()]);
        world.access(0, 0, Access::Write)();
        world.end();
    });
}

#[test]
fn fast_fast() {
    explore("fast-fast", 3, || {
        let world = logged(npt(), 2);
        world.race([0, 1].map(|vcpu| world.access(vcpu, 0, Access::Write)));
        assert!(harvests(&world.vm), "a write is not in the dirty log");
        world.end();
    });
}

/// Without accessed bits an old page cannot be accessed.
#[test]
fn fast_age() {
    explore("fast-age", 3, || {
        let world = logged(ept_without_ad(), 1);
        let age = world.kernel(|vm| {
            kvm::age(vm, GfnRange::one(Gfn::new(0)));
        });
        world.race([world.access(0, 0, Access::Write), age]);
        world.access(0, 0, Access::Write)();
        assert!(harvests(&world.vm), "a write is not in the dirty log");
        world.end();
    });
}

/// What was written when the log was taken for the last time with the frame in it, and what was written
/// in all, are the same at the end.
fn write_and_harvest(variants: &[Variant]) {
    let world = logged(npt(), 1);
    variants
        .iter()
        .for_each(|variant| world.vm.variants.choose(*variant));
    let (sent, written) = (Arc::new(AtomicU64::new(1)), world.written.clone());
    let send = {
        let (sent, written) = (sent.clone(), written.clone());
        move |vm: &Vm| {
            if harvests(vm) {
                sent.store(written[0].load(SeqCst), SeqCst);
            }
        }
    };
    let guest = world.access(0, 0, Access::Write);
    world.race([guest, world.kernel(send.clone())]);
    send(&world.vm);
    let all = written[0].load(SeqCst);
    assert_eq!(sent.load(SeqCst), all, "a write is not in the dirty log");
    world.end();
}

#[test]
fn fast_harvest() {
    explore("fast, harvest for write", 3, || write_and_harvest(&[]));
    explore("fast, harvest for read", 3, || {
        write_and_harvest(&[Variant::LogTakenUnderRead]);
    });
}

/// One vCPU makes the page writable. Another one writes, leaves the guest, and the log is taken.
#[test]
fn a_write_that_is_over_is_in_the_log() {
    explore("fast, write, harvest", 3, || {
        let world = logged(npt(), 2);
        let write = world.access(1, 0, Access::Write);
        let vm = world.vm.clone();
        let write_and_harvest: Task = Box::new(move || {
            write();
            assert!(harvests(&vm), "a write that is over is not in the log");
        });
        world.race([world.access(0, 0, Access::Write), write_and_harvest]);
        world.end();
    });
}
