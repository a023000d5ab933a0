// SPDX-License-Identifier: GPL-2.0

//! Pfn caches: readers, the host that takes pages away, refreshes and the end of a cache's use, in every
//! order that loom finds.
//!
//! What no order may have: an access to a page that the host has taken, or that is mapped no longer; a
//! change of what a reader looks at; and at the end a cache that is valid for another page than the
//! host's.

#[path = "common/explore.rs"]
mod common;

use kvmrs_model::{
    atomic::{limit_spins, thread, Arc},
    kvm::{
        gpc::{Address, Gpc},
        memory::Setup,
        AddressSpace, Gfn, GfnRange, Level, MemSlot, Vm,
    },
    machine::{npt, Machine},
    pfncache::refresh::deactivate,
    world::gpc,
};

/// Spins of one thread behind which orders are no longer other ones.
const SPINS: u32 = 3;
/// Enough for a debug build.
const STACK: usize = 1 << 18;

type Task = fn(&World);

/// As there, with threads that spin no longer than that.
fn explore(name: &str, preemptions: usize, scenario: fn()) {
    limit_spins(SPINS);
    common::explore(name, preemptions, scenario);
}

/// A VM with two pages, and a cache.
struct World {
    vm: Arc<Vm>,
    cache: Arc<Gpc>,
}

/// A frame, and a word in it.
const HERE: u64 = 0;
const THERE: u64 = 1;
const LEN: usize = 8;

fn at(frame: u64, offset: u64) -> Address {
    Address::Guest(Gfn::new(frame).addr() + offset)
}

impl World {
    /// A cache that is not in use.
    fn new() -> Arc<Self> {
        Machine::new(npt()).enter();
        let vm = Vm::new(Setup {
            slots: vec![MemSlot::new(
                AddressSpace::NORMAL,
                GfnRange::sized(Gfn::new(0), 2),
            )],
            nx_huge_pages: false,
            cpu_dirty_log: false,
        });
        for frame in [HERE, THERE].map(Gfn::new) {
            vm.primary.populate(frame, Level::PG_4K);
            let page = vm.primary.page(frame).expect("it was populated");
            vm.caches.track(page.pfn);
        }
        let cache = Gpc::new(&vm);
        Arc::new(Self { vm, cache })
    }

    /// One that is valid for a word of the first page.
    fn valid() -> Arc<Self> {
        let world = Self::new();
        gpc::activate(&world.cache, at(HERE, 0), LEN).expect("there is a page");
        world
    }

    /// All of these at the same time, the last one in this thread.
    fn race(self: &Arc<Self>, tasks: &[Task]) {
        let (last, others) = tasks.split_last().expect("there is a task");
        let spawn = |task: &Task| {
            let (world, task) = (self.clone(), *task);
            let builder = thread::Builder::new().stack_size(STACK);
            builder
                .spawn(move || task(&world))
                .expect("loom has threads")
        };
        let threads: Vec<_> = others.iter().map(spawn).collect();
        last(self);
        for thread in threads {
            thread.join().expect("no panic");
        }
    }

    /// Who reads now gets what the host has, and nothing is left.
    fn end(&self) {
        read(self);
        deactivate(&self.cache);
        self.vm.check_caches();
        assert!(!self.vm.is_bugged());
    }
}

fn read(world: &World) {
    gpc::try_access(&world.cache, LEN, |page| {
        page.read_u32(0).expect("it fits");
    });
}

fn write(world: &World) {
    gpc::try_access(&world.cache, LEN, |page| {
        page.write_u32(4, 1).expect("it fits");
        page.mark_dirty();
    });
}

fn moves_here(world: &World) {
    gpc::move_page(&world.vm, Gfn::new(HERE));
}

fn moves_there(world: &World) {
    gpc::move_page(&world.vm, Gfn::new(THERE));
}

fn refresh(world: &World) {
    let _ = gpc::refresh(&world.cache, LEN);
}

fn activate(world: &World) {
    gpc::activate(&world.cache, at(HERE, 0), LEN).expect("there is a page");
}

fn shift(world: &World) {
    gpc::activate(&world.cache, at(HERE, 16), LEN).expect("there is a page");
}

fn go_there(world: &World) {
    gpc::activate(&world.cache, at(THERE, 0), LEN).expect("there is a page");
}

fn borrow(world: &World) {
    let _ = gpc::activate(&world.cache, at(HERE, 0), LEN);
}

fn end_process(world: &World) {
    world.vm.put_mm();
}

fn end_use(world: &World) {
    deactivate(&world.cache);
}

#[test]
fn two_readers_and_the_host() {
    explore("gpc, two readers and the host", 5, || {
        let world = World::valid();
        world.race(&[read, write, moves_here]);
        world.end();
    });
}

#[test]
fn reader_refresh_and_the_host() {
    explore("gpc, reader, refresh and the host", 4, || {
        let world = World::valid();
        world.race(&[read, refresh, moves_here]);
        world.end();
    });
}

#[test]
fn first_use_and_the_host() {
    explore("gpc, first use and the host", 5, || {
        let world = World::new();
        world.race(&[activate, moves_here]);
        read(&world);
        world.end();
    });
}

/// The page was taken away while the cache goes to another one: who waits for readers of the old page?
#[test]
fn reader_of_a_page_that_is_left() {
    explore("gpc, reader of a page that is left", 3, || {
        let world = World::valid();
        world.race(&[write, go_there, moves_here]);
        world.end();
    });
}

#[test]
fn move_within_the_page() {
    explore("gpc, move within the page", 4, || {
        let world = World::valid();
        world.race(&[write, shift, moves_here]);
        world.end();
    });
}

#[test]
fn two_pages_change() {
    explore("gpc, two pages change", 3, || {
        let world = World::valid();
        world.race(&[go_there, moves_here, moves_there]);
        world.end();
    });
}

/// The host is never in the way elsewhere.
#[test]
fn refresh_and_the_host_elsewhere() {
    explore("gpc, refresh and the host elsewhere", 5, || {
        let world = World::new();
        world.race(&[activate, moves_there]);
        assert_eq!(world.vm.caches.look_ups.get(), 1);
        assert_eq!(world.vm.caches.waits.get(), 0);
        world.end();
    });
}

#[test]
fn end_of_use() {
    explore("gpc, end of use", 4, || {
        let world = World::valid();
        world.race(&[write, moves_here, end_use]);
        world.end();
    });
}

/// The process ends while a kernel thread that has borrowed its address space makes the cache valid.
#[test]
fn end_of_the_address_space() {
    explore("gpc, end of the address space", 4, || {
        let world = World::new();
        world.race(&[read, borrow, end_process]);
        world.end();
    });
}

#[test]
fn all_at_once() {
    explore("gpc, all at once", 3, || {
        let world = World::valid();
        world.race(&[read, write, refresh, moves_here, end_use]);
        world.end();
    });
}
