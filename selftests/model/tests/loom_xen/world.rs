// SPDX-License-Identifier: GPL-2.0

//! A guest with its pages, who sends events to it, and what the guest does about them.

use super::STACK;
use kvmrs_model::{
    atomic::{thread, Arc, AtomicU32, Ordering::*},
    kvm::{
        gpc::{Address, Gpc, GuestPage, Memory, PAGE_SIZE},
        memory::Setup,
        types::Pfn,
        xen::{Layout, Target, VCPU_INFO},
        AddressSpace, Gfn, GfnRange, Level, MemSlot, SlotsHeld, Vm,
    },
    machine::{npt, Machine},
    pfncache::refresh::deactivate,
    world::gpc,
    xen::evtchn::{pay, send},
};

/// The frames of `shared_info` and of `vcpu_info`.
pub const SHARED: u64 = 0;
pub const INFO: u64 = 1;

/// Two ports of one word, and one of another.
pub const PORTS: [u32; 3] = [65, 70, 130];
pub const PENDING: usize = 0x800;
pub const MASK: usize = 0xa00;
pub const SELECTOR: usize = 8;
pub const UPCALL: usize = 0;

/// A port's byte in a bitmap.
pub fn byte(port: u32) -> usize {
    port as usize / 8
}

/// Its bit there.
pub fn bit(port: u32) -> u8 {
    1 << (port % 8)
}

/// All of it.
pub struct World {
    pub vm: Arc<Vm>,
    pub shared: Arc<Gpc>,
    pub target: Target,
    pub area: [Arc<Gpc>; 2],
    /// What each sender has for the guest, beside the event.
    pub data: [AtomicU32; 3],
    /// Events that the guest has seen.
    pub seen: [AtomicU32; 3],
}

impl World {
    /// The guest has `masked` among the ports.
    pub fn new(masked: &[u32]) -> Arc<Self> {
        Machine::new(npt()).enter();
        let vm = Vm::new(Setup {
            slots: vec![MemSlot::new(
                AddressSpace::NORMAL,
                GfnRange::sized(Gfn::new(0), 4),
            )],
            nx_huge_pages: false,
            cpu_dirty_log: false,
        });
        (0..4).for_each(|frame| vm.primary.populate(Gfn::new(frame), Level::PG_4K));
        let world = Arc::new(Self {
            shared: Gpc::new(&vm),
            target: Target::new(&vm, None),
            area: [Gpc::new(&vm), Gpc::new(&vm)],
            data: std::array::from_fn(|_| AtomicU32::new(0)),
            seen: std::array::from_fn(|_| AtomicU32::new(0)),
            vm,
        });
        let (shared, info) = (world.pfn(SHARED), world.pfn(INFO));
        for at in [8, 16] {
            world.memory().watch(shared, PENDING + at);
            world.memory().watch(shared, MASK + at);
        }
        world.memory().watch(info, SELECTOR);
        world.memory().watch(info, UPCALL);
        for port in masked {
            let at = MASK + byte(*port);
            let mask = world.memory().byte(shared, at);
            world.memory().set_byte(shared, at, mask | bit(*port));
        }
        world.use_page(&world.shared, SHARED, 0, PAGE_SIZE);
        world.use_page(world.target.vcpu_info(), INFO, 0, VCPU_INFO);
        world
    }

    pub fn use_page(&self, cache: &Gpc, frame: u64, offset: usize, len: usize) {
        let address = Address::Guest(Gfn::new(frame).addr() + offset as u64);
        gpc::activate(cache, address, len).expect("there is a page");
    }

    pub fn memory(&self) -> &Memory {
        &self.vm.caches.memory
    }

    pub fn pfn(&self, frame: u64) -> Pfn {
        let frame = Gfn::new(frame);
        let page = self.vm.primary.page(frame).expect("there is a page");
        page.pfn_of(frame)
    }

    /// All of these at the same time, the last one in this thread.
    pub fn race(self: &Arc<Self>, tasks: &[fn(&World)]) {
        let (last, others) = tasks.split_last().expect("there is a task");
        let spawn = |task: &fn(&World)| {
            let (world, task) = (self.clone(), *task);
            let builder = thread::Builder::new().stack_size(STACK);
            let task = move || task(&world);
            builder.spawn(task).expect("loom has threads")
        };
        let threads: Vec<_> = others.iter().map(spawn).collect();
        last(self);
        for thread in threads {
            thread.join().expect("no panic");
        }
    }

    pub fn send(&self, which: usize) {
        self.data[which].store(1, Relaxed);
        let slots = SlotsHeld::new(&self.vm);
        let port = Layout::Native
            .port(PORTS[which])
            .expect("there is such a port");
        send(&self.shared, &slots, &self.target, port);
    }

    /// As Linux does it in `xen_evtchn_do_upcall()`: whatever bit the guest takes, it then looks at what
    /// that stands for.
    pub fn upcall(&self) {
        let (shared, info) = (self.pfn(SHARED), self.pfn(INFO));
        if self.memory().byte(info, UPCALL) == 0 {
            return;
        }
        self.memory().set_byte(info, UPCALL, 0);
        let words = self.memory().swap_byte(info, SELECTOR, 0);
        let selected = |port: &u32| words >> (port / 64) & 1 != 0;
        for (which, port) in PORTS.into_iter().enumerate() {
            if !selected(&port) {
                continue;
            }
            let masked = self.memory().byte(shared, MASK + byte(port));
            let pending = self.memory().byte(shared, PENDING + byte(port)) & !masked;
            if pending & bit(port) != 0 {
                self.take(which);
            }
        }
    }

    /// The guest handles an event.
    pub fn take(&self, which: usize) {
        let (port, shared) = (PORTS[which], self.pfn(SHARED));
        if self
            .memory()
            .take_bits(shared, PENDING + byte(port), bit(port))
        {
            let data = self.data[which].load(Relaxed);
            self.seen[which].fetch_max(data, Relaxed);
        }
    }

    /// The vCPU's task, before it enters the guest.
    pub fn pay(&self) {
        if self.target.owed() != 0 {
            self.use_page(self.target.vcpu_info(), INFO, 0, VCPU_INFO);
            let slots = SlotsHeld::new(&self.vm);
            let info = GuestPage::pin(self.target.vcpu_info(), &slots, VCPU_INFO);
            if let Some(info) = &info {
                pay(info, &self.target, Layout::Native);
            }
        }
    }

    /// When all is quiet the guest hears of everything that it has not heard of.
    pub fn end(&self) {
        self.pay();
        self.upcall();
        for which in 0..PORTS.len() {
            let (sent, seen) = (&self.data[which], &self.seen[which]);
            assert_eq!(sent.load(SeqCst), seen.load(SeqCst), "an event was lost");
        }
        self.close();
    }

    pub fn close(&self) {
        deactivate(&self.shared);
        deactivate(self.target.vcpu_info());
        self.area.iter().for_each(|cache| deactivate(cache));
        self.vm.check_caches();
    }
}
