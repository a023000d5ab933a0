// SPDX-License-Identifier: GPL-2.0

//! What KVM writes for a vCPU of a Xen guest is in the dirty log: each page that has changed, and no other. What all
//! vCPUs share is not, nor is an event: userspace takes these pages along in any case.

use super::test;
use crate::harness::Test;
use anyhow::{ensure, Context, Result};
use kvm_bindings::KVM_MEM_LOG_DIRTY_PAGES as LOG;
use kvmtest::memory::{Backing, Memory, PAGE_4K};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Slot, Vm, BASE};
use kvmtest::xen::{self, Area, PENDING, UPCALL};
use kvmtest::xen_layout::Layout;

pub const TESTS: &[Test] = &[test("xen_writes_logged", logged)];

/// Pages: the guest writes to the first one itself.
const OWN: u64 = 0;
const SHARED: u64 = 1;
const INFO: u64 = 2;
const CLOCK: u64 = 3;
const STATES: u64 = 4;
const PAGES: u64 = 6;
const PORT: u32 = 5;

fn logged(backend: &str) -> Result<()> {
    for layout in Layout::ALL {
        let mut guest = Guest::new(backend, layout)?;
        let edge = (STATES + 1) * PAGE_4K;
        for (area, place, wanted) in [
            (Area::Info, INFO * PAGE_4K, &[INFO][..]),
            (Area::Time, CLOCK * PAGE_4K, &[CLOCK]),
            (Area::Runstate, edge - layout.states(), &[STATES]),
            (
                Area::Runstate,
                edge - layout.states() + 1,
                &[STATES, STATES + 1],
            ),
            (Area::Runstate, edge - 1, &[STATES, STATES + 1]),
            (Area::Runstate, edge, &[STATES + 1]),
        ] {
            guest
                .writes(area, place, wanted)
                .with_context(|| format!("{layout:?}, {area:?} at {place:#x}"))?;
        }
        guest.has_event().with_context(|| format!("{layout:?}"))?;
    }
    Ok(())
}

/// A guest whose memory is logged.
struct Guest {
    vm: Vm,
    vcpu: Vcpu,
    memory: Memory,
    slot: Slot,
}

impl Guest {
    fn new(backend: &str, layout: Layout) -> Result<Self> {
        let memory = Memory::new(PAGES * PAGE_4K, Backing::Small)?;
        let slot = Slot::of(&memory);
        let (vm, vcpu) = Vm::with(backend, &memory)?;
        xen::enable(&vm)?;
        layout.set(&vm)?;
        vm.set(&slot, LOG)?;
        Ok(Self {
            vm,
            vcpu,
            memory,
            slot,
        })
    }

    /// Where the vCPU has something, it is written when that gets its place, or when the vCPU is entered.
    fn writes(&mut self, area: Area, place: u64, wanted: &[u64]) -> Result<()> {
        self.vm.get_log(&self.slot)?;
        xen::set_area(&self.vcpu, area, Some(BASE + place)).context("setting its place")?;
        self.enter()?;
        self.has_logged(&[&[OWN], wanted].concat())?;
        xen::set_area(&self.vcpu, area, None).context("taking its place away")
    }

    fn enter(&mut self) -> Result<()> {
        let own = BASE + OWN * PAGE_4K;
        self.vcpu.fill(&(own..own + PAGE_4K), 1)
    }

    fn has_logged(&self, wanted: &[u64]) -> Result<()> {
        let log = self.vm.get_log(&self.slot)?[0];
        let found: Vec<u64> = (0..PAGES).filter(|page| log >> page & 1 != 0).collect();
        ensure!(
            found == wanted,
            "the log has {found:?} instead of {wanted:?}"
        );
        Ok(())
    }

    /// The wall clock and the event are there.
    fn has_event(&mut self) -> Result<()> {
        xen::set_area(&self.vcpu, Area::Info, Some(BASE + INFO * PAGE_4K))?;
        self.enter()?;
        self.vm.get_log(&self.slot)?;
        xen::set_shared_page(&self.vm, BASE + SHARED * PAGE_4K)?;
        xen::send(&self.vm, PORT).context("sending an event")?;
        let events = [
            self.memory.load(SHARED * PAGE_4K + PENDING),
            self.memory.load(INFO * PAGE_4K + UPCALL) & 0xff,
        ];
        ensure!(events == [1 << PORT, 1], "the guest has {events:x?}");
        self.has_logged(&[])
    }
}
