// SPDX-License-Identifier: GPL-2.0

//! The VM of all scenarios, and how their orders are tried.

use super::{
    common::{self, Options},
    every_order,
};
use kvmrs_model::{
    atomic::{plain::AtomicU64, thread, Arc, Ordering::SeqCst},
    kvm::{types::Pfn, Gfn, GfnRange, Level, MemSlot, Vcpu, Vm},
    machine::{Machine, Masks},
    world::{breaks, cpu::Access, kvm, variants::Variant, view},
};

/// Enough for a debug build.
const STACK: usize = 1 << 18;

pub type Task = Box<dyn FnOnce() + Send>;

/// Tries the orders of `scenario` with up to `preemptions` switches.
pub fn explore(name: &str, preemptions: usize, scenario: fn()) {
    every_order::explore(name, preemptions, move || {
        join(vec![spawn(Box::new(scenario))]);
    });
}

pub fn spawn(task: Task) -> thread::JoinHandle<()> {
    let builder = thread::Builder::new().stack_size(STACK);
    builder.spawn(task).expect("loom has threads")
}

pub fn join(threads: Vec<thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().expect("no panic");
    }
}

/// A VM with some vCPUs.
pub struct World {
    pub vm: Arc<Vm>,
    pub vcpus: Vec<Arc<Vcpu>>,
    /// How many times frames 0 and 1 were written.
    pub written: Arc<[AtomicU64; 2]>,
}

impl World {
    pub fn new(format: Masks, options: Options, vcpus: usize) -> Self {
        let memory = GfnRange::sized(Gfn::new(0), 1024);
        let vm = common::vm_with(format, memory, Level::PG_2M, options);
        let vcpus = (0..vcpus).map(|_| Arc::new(common::vcpu(&vm))).collect();
        let written = Arc::new([const { AtomicU64::new(0) }; 2]);
        Self { vm, vcpus, written }
    }

    pub fn slot(vm: &Vm) -> &MemSlot {
        &vm.slots()[0]
    }

    pub fn choose(&self, variants: &[Variant]) {
        for variant in variants {
            self.vm.variants.choose(*variant);
        }
    }

    /// Whether frame 0 is in the log, which is taken.
    pub fn harvests(vm: &Vm) -> bool {
        kvm::harvest(vm, Self::slot(vm)).contains(&Gfn::new(0))
    }

    /// A guest writes to frame 0, which is logged, and the log is taken at the same time. What was written
    /// when it was taken for the last time with the frame in it, and in all, are the same at the end.
    pub fn write_and_harvest(self) {
        let written = self.written.clone();
        let sent = Arc::new(AtomicU64::new(written[0].load(SeqCst)));
        let send = {
            let (sent, written) = (sent.clone(), written.clone());
            move |vm: &Vm| {
                if Self::harvests(vm) {
                    sent.store(written[0].load(SeqCst), SeqCst);
                }
            }
        };
        let guest = self.access(0, 0, Access::Write);
        self.race([guest, self.kernel(send.clone())]);
        send(&self.vm);
        let all = written[0].load(SeqCst);
        assert_eq!(sent.load(SeqCst), all, "a write is not in the dirty log");
        self.end();
    }

    /// The guest on a CPU accesses a frame, and gets at what the host has there.
    pub fn access(&self, vcpu: usize, frame: u64, access: Access) -> Task {
        let (vcpu, written) = (self.vcpus[vcpu].clone(), self.written.clone());
        Box::new(move || {
            let gfn = Gfn::new(frame);
            kvm::guest_access(&vcpu, gfn, access, |pfn| {
                let held = vcpu.vm().primary.holds(gfn, Pfn::new(pfn));
                assert!(held, "stale translation: {gfn:?} went to {pfn:#x}");
                if access == Access::Write {
                    written[frame as usize].fetch_add(1, SeqCst);
                }
            });
        })
    }

    /// Something that the kernel does.
    pub fn kernel(&self, task: impl FnOnce(&Vm) + Send + 'static) -> Task {
        let vm = self.vm.clone();
        Box::new(move || task(&vm))
    }

    /// The host gives the first page of 2 MiB other memory.
    pub fn moves(&self) -> Task {
        self.kernel(|vm| {
            let page = GfnRange::sized(Gfn::new(0), 512);
            kvm::invalidate(vm, page, || vm.primary.populate(Gfn::new(0), Level::PG_2M));
        })
    }

    /// Maps the two frames by small pages, where the host would allow a huge one.
    pub fn map_small(&self) {
        World::slot(&self.vm).set_dirty_tracked(true);
        self.access(0, 0, Access::Write)();
        self.access(0, 1, Access::Read)();
        World::slot(&self.vm).set_dirty_tracked(false);
    }

    /// Runs the tasks at the same time.
    pub fn race(&self, tasks: impl IntoIterator<Item = Task>) {
        let machine = Machine::current();
        let enter = |task: Task| -> Task {
            let machine = machine.clone();
            Box::new(move || {
                machine.enter();
                task();
            })
        };
        join(tasks.into_iter().map(|task| spawn(enter(task))).collect());
    }

    /// Nothing is wrong now, and nothing is left when the VM is gone.
    pub fn end(self) {
        self.vm.breaks.set(breaks::NEVER);
        view::check(&self.vm);
        let vcpus = self.vcpus.into_iter().map(Arc::into_inner);
        kvm::destroy(&self.vm, vcpus.map(|vcpu| vcpu.expect("joined")).collect());
    }
}
