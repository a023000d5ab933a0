// SPDX-License-Identifier: GPL-2.0

//! A Xen guest with its two pages, of either layout.

use super::{frame, memory, vm_with, Options};
use kvmrs_model::{
    kvm::{
        gpc::{Address, Gpc, PAGE_SIZE},
        types::Pfn,
        xen::{Layout, Runner, Target, VCPU_INFO},
        Gfn, Level, SlotsHeld, Vm,
    },
    machine::npt,
    pfncache::refresh::deactivate,
    world::gpc::activate,
    xen::evtchn::{send, Sent},
};
use std::sync::Arc;

pub const LAYOUTS: [Layout; 2] = [Layout::Compat, Layout::Native];
/// Where in its page `vcpu_info` is: aligned to a word, but to no more.
pub const INFO: usize = 0x7c;

pub struct World {
    pub vm: Arc<Vm>,
    pub runner: Runner,
}

/// The places, by the structs' definition: bits of a word, pending, mask, selector.
pub fn places(layout: Layout) -> (usize, usize, usize, usize) {
    match layout {
        Layout::Compat => (32, 0x800, 0x880, 4),
        Layout::Native => (64, 0x800, 0xa00, 8),
    }
}

pub fn ports(layout: Layout) -> u32 {
    let (bits, ..) = places(layout);
    (bits * bits) as u32
}

impl World {
    pub fn new(vector: Option<u8>) -> Self {
        let vm = vm_with(npt(), memory(), Level::PG_4K, Options::default());
        let runner = Runner::told_by(&vm, vector);
        let world = Self { vm, runner };
        world.fill();
        world
    }

    pub fn target(&self) -> &Target {
        self.runner.target()
    }

    pub fn shared(&self) -> &Gpc {
        self.target().shared_info()
    }

    /// Both pages are there.
    pub fn fill(&self) {
        let at = |frame: Gfn, offset| Address::Guest(frame.addr() + offset as u64);
        activate(self.shared(), at(frame(0), 0), PAGE_SIZE).expect("there is a page");
        let info = at(frame(1), INFO);
        activate(self.target().vcpu_info(), info, VCPU_INFO).expect("there is a page");
    }

    pub fn pfn(&self, frame: Gfn) -> Pfn {
        let page = self.vm.primary.page(frame).expect("there is a page");
        page.pfn_of(frame)
    }

    pub fn send(&self, layout: Layout, port: u32) -> Sent {
        let slots = SlotsHeld::new(&self.vm);
        let port = layout.port(port).expect("there is such a port");
        send(self.shared(), &slots, self.target(), port)
    }

    pub fn bit(&self, frame: Gfn, byte: usize, bit: usize) -> bool {
        let byte = self.vm.caches.memory.byte(self.pfn(frame), byte + bit / 8);
        byte >> (bit % 8) & 1 != 0
    }

    pub fn mask(&self, layout: Layout, port: u32) {
        let (.., mask, _) = places(layout);
        let (pfn, byte) = (self.pfn(frame(0)), mask + port as usize / 8);
        let memory = &self.vm.caches.memory;
        memory.set_byte(pfn, byte, memory.byte(pfn, byte) | 1 << (port % 8));
    }

    /// How many bits are set in the page of `frame`.
    pub fn bits(&self, frame: Gfn) -> usize {
        self.vm.caches.memory.bits(self.pfn(frame)).len()
    }

    pub fn wipe(&self) {
        let pages = [0, 1].map(|index| self.pfn(frame(index)));
        pages
            .iter()
            .for_each(|pfn| self.vm.caches.memory.wipe(*pfn));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        deactivate(self.shared());
        deactivate(self.target().vcpu_info());
    }
}
