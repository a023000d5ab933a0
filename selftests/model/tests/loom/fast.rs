// SPDX-License-Identifier: GPL-2.0

//! Faults that do not take `mmu_lock`, and who does.

use super::{
    common::Options,
    pair::{explore, Task, World},
};
use kvmrs_model::{
    kvm::{Gfn, GfnRange},
    machine::{ept_without_ad, npt, Masks},
    world::{cpu::Access, kvm},
};

/// Frame 0 is mapped, and write-protected for the dirty log.
fn logged(format: Masks, vcpus: usize) -> World {
    let world = World::new(format, Options::default(), vcpus);
    kvm::start_dirty_log(&world.vm, World::slot(&world.vm), kvm::Split::AtFaults);
    world.access(0, 0, Access::Write)();
    assert!(World::harvests(&world.vm));
    world
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
        assert!(
            World::harvests(&world.vm),
            "a write is not in the dirty log"
        );
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
        assert!(
            World::harvests(&world.vm),
            "a write is not in the dirty log"
        );
        world.end();
    });
}

#[test]
fn fast_harvest() {
    explore("fast, harvest for read", 3, || {
        logged(npt(), 1).write_and_harvest();
    });
    explore("fast, harvest for write", 3, || {
        let world = logged(npt(), 1);
        world.vm.use_shadow();
        world.write_and_harvest();
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
            assert!(
                World::harvests(&vm),
                "a write that is over is not in the log"
            );
        });
        world.race([world.access(0, 0, Access::Write), write_and_harvest]);
        world.end();
    });
}
