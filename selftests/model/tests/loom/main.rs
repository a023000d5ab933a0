// SPDX-License-Identifier: GPL-2.0

//! Two or three threads and one or two entries, in every order that loom finds.
//!
//! The VM has two pages of 2 MiB, and its frames 0 and 1 are what races are about: their entries
//! are watched on every level. What a schedule may not break is what the model checks in all other
//! tests, and what the scenario says at its end.
//!
//! Where there are too many orders, those with more than a few switches away from a thread that
//! could have gone on are left out; `LOOM_MAX_PREEMPTIONS` asks for another number of them.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/explore.rs"]
mod every_order;
mod fast;
mod orders;
mod pair;

use common::Options;
use kvmrs_model::{
    atomic::{
        fence,
        plain::AtomicU64,
        Arc, AtomicU32,
        Ordering::{Relaxed, Release, SeqCst},
    },
    kvm::{Gfn, GfnRange, Level, Vm},
    machine::{ept, npt},
    world::{breaks, cpu::Access, kvm, view},
};
use pair::{explore, join, spawn, Task, World};

/// Two CPUs fault on one frame of an empty tree: they race for each table on the way.
#[test]
fn fault_fault() {
    explore("fault-fault", 3, || {
        let world = World::new(npt(), Options::default(), 2);
        World::slot(&world.vm).set_dirty_tracked(true);
        world.race([
            world.access(0, 0, Access::Write),
            world.access(1, 0, Access::Read),
        ]);
        assert_eq!(world.vm.stats.pages[0].get(), 1);
        assert_eq!(world.vm.live_tables(), 3, "a loser's table was linked");
        world.end();
    });
}

/// A guest that writes twice, first through a translation that it has, and the host that takes the
/// memory away. With a third thread there are too many orders, as both guests retry.
#[test]
fn fault_zap() {
    explore("fault-zap", 5, || {
        let world = World::new(npt(), Options::default(), 1);
        world.access(0, 0, Access::Write)();
        let (first, second) = (
            world.access(0, 0, Access::Write),
            world.access(0, 1, Access::Write),
        );
        let guest: Task = Box::new(|| {
            first();
            second();
        });
        world.race([guest, world.moves()]);
        world.end();
    });
}

/// A zap of two frames that gives way between them, and a fault.
#[test]
fn zap_yield_fault() {
    explore("zap-yield-fault", 5, || {
        let world = World::new(npt(), Options::default(), 1);
        world.map_small();
        world.vm.breaks.set(breaks::ALWAYS);
        world.race([world.access(0, 0, Access::Write), world.moves()]);
        world.end();
    });
}

/// A huge page is split by dirty logging, and by the writes of two CPUs.
#[test]
fn split_fault() {
    explore("split-fault", 3, || {
        let world = World::new(npt(), Options::default(), 2);
        world.access(0, 0, Access::Read)();
        assert_eq!(world.vm.stats.pages[1].get(), 1);
        World::slot(&world.vm).set_dirty_tracked(true);
        let split = world.kernel(|vm| {
            let slot = World::slot(vm);
            kvm::try_split(vm, slot, slot.range(), Level::PG_4K);
        });
        let guests = [0, 1].map(|vcpu| world.access(vcpu, vcpu as u64, Access::Write));
        world.race(guests.into_iter().chain([split]));
        assert_eq!(world.vm.stats.pages[1].get(), 0);
        assert_eq!(world.vm.stats.pages[0].get(), 512);
        world.end();
    });
}

/// Small pages become a huge one while the host takes the memory away and the guest writes to it.
#[test]
fn recover_zap() {
    explore("recover-zap", 3, || {
        let world = World::new(npt(), Options::default(), 1);
        world.map_small();
        let recover = world.kernel(|vm| kvm::recover(vm, World::slot(vm)));
        world.race([recover, world.moves(), world.access(0, 0, Access::Write)]);
        world.access(0, 0, Access::Write)();
        world.end();
    });
}

/// Small pages become a huge one while two CPUs write to one that was only read.
#[test]
fn recover_fault() {
    explore("recover-fault", 3, || {
        let world = World::new(npt(), Options::default(), 2);
        world.map_small();
        let recover = world.kernel(|vm| kvm::recover(vm, World::slot(vm)));
        let guests = [0, 1].map(|vcpu| world.access(vcpu, 1, Access::Write));
        world.race(guests.into_iter().chain([recover]));
        assert_eq!(world.vm.stats.pages[1].get(), 1, "nobody made a huge page");
        world.end();
    });
}

/// Pages are made old, without any lock, while the host takes them away and the guest uses them.
#[test]
fn age_zap() {
    explore("age-zap", 2, || {
        let world = World::new(npt(), Options::default(), 1);
        world.map_small();
        let age = world.kernel(|vm| {
            kvm::age(vm, GfnRange::sized(Gfn::new(0), 2));
        });
        world.race([age, world.moves(), world.access(0, 0, Access::Write)]);
        world.end();
    });
}

/// The dirty bit is cleared while two CPUs set it again.
#[test]
fn clear_dirty_hardware() {
    explore("clear-dirty-hardware", 3, || {
        let options = Options {
            cpu_dirty_log: true,
            ..Options::default()
        };
        let world = World::new(ept(), options, 2);
        kvm::start_dirty_log(&world.vm, World::slot(&world.vm), kvm::Split::AtFaults);
        world.access(0, 0, Access::Write)();
        let (sent, written) = (Arc::new(AtomicU64::new(0)), world.written.clone());
        let send = {
            let (sent, written) = (sent.clone(), written.clone());
            move |vm: &Vm| {
                if kvm::harvest(vm, World::slot(vm)).contains(&Gfn::new(0)) {
                    sent.store(written[0].load(SeqCst), SeqCst);
                }
            }
        };
        let guests = [0, 1].map(|vcpu| world.access(vcpu, 0, Access::Write));
        world.race(guests.into_iter().chain([world.kernel(send.clone())]));
        send(&world.vm);
        assert_eq!(written[0].load(SeqCst), 3);
        assert_eq!(sent.load(SeqCst), 3, "a write is not in the dirty log");
        world.end();
    });
}

/// All roots become invalid and are zapped while one vCPU puts its root and loads another.
#[test]
fn root_put_invalidate() {
    explore("root put-invalidate", 3, || {
        let world = World::new(npt(), Options::default(), 1);
        world.access(0, 0, Access::Write)();
        let vcpu = world.vcpus[0].clone();
        let zap = world.kernel(kvm::zap_all_fast);
        world.race([Box::new(move || kvm::load_root(&vcpu)), zap]);
        assert_eq!(
            view::roots(&world.vm).len(),
            1,
            "the old root is still there"
        );
        world.access(0, 0, Access::Read)();
        world.end();
    });
}
