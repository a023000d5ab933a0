// SPDX-License-Identifier: GPL-2.0

//! A VM with one vCPU and one slot of memory to measure.

use crate::window::Window;
use anyhow::{ensure, Context, Result};
use kvm_bindings::KVM_MEM_LOG_DIRTY_PAGES;
use kvmtest::guest::{self, Pattern, Program};
use kvmtest::memory::{Memory, PAGE_1G, PAGE_4K};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{self, Slot, BASE, LOG_INITIALLY_SET};
use kvmtest::xen::{self, Area};

/// How a fault is resolved.
#[derive(Clone, Copy, PartialEq)]
pub enum Path {
    /// By C, which gives a right back.
    Fast,
    /// By the backend, which maps a page.
    Map,
}

/// The VM. Its memory is with the caller, who may take it away under the VM.
pub struct Vm {
    vcpu: Vcpu,
    vm: vm::Vm,
    slot: Slot,
}

impl Vm {
    /// A VM on `backend` with `memory` in its slot.
    pub fn new(backend: &str, memory: &Memory) -> Result<Self> {
        let (vm, vcpu) = vm::Vm::with(backend, memory)?;
        let slot = Slot::of(memory);
        Ok(Self { vcpu, vm, slot })
    }

    /// Gives the slot its memory (back), not mapped yet.
    pub fn create_slot(&self) -> Result<()> {
        self.vm.set(&self.slot, 0)
    }

    /// Deletes the slot.
    pub fn delete_slot(&self) -> Result<()> {
        self.vm.delete(&self.slot)
    }

    /// Switches the dirty log of the slot on or off.
    pub fn log(&self, on: bool) -> Result<()> {
        let flags = if on { KVM_MEM_LOG_DIRTY_PAGES } else { 0 };
        self.vm.set(&self.slot, flags)
    }

    /// Makes a new log start with every page dirty, and clearing it a call of its own.
    pub fn start_logs_set(&self) -> Result<()> {
        self.vm.set_log_mode(LOG_INITIALLY_SET)
    }

    /// Makes the deletion of a slot zap what it maps and nothing else.
    pub fn delete_slots_by_range(&self) -> Result<()> {
        self.vm.delete_slots_by_range()
    }

    /// Maps the whole slot.
    pub fn populate(&self) -> Result<()> {
        self.vcpu.populate(&self.slot.range())
    }

    /// Maps all pages of the slot from `offset` on.
    pub fn populate_from(&self, offset: u64) -> Result<()> {
        let range = self.slot.range();
        self.vcpu.populate(&(range.start + offset..range.end))
    }

    /// Maps a page of the slot.
    pub fn populate_page(&self, offset: u64) -> Result<()> {
        let gpa = self.slot.gpa + offset;
        self.vcpu.populate(&(gpa..gpa + PAGE_4K))
    }

    /// What the guest needs for [`Vm::write_beyond`].
    pub fn window(&self) -> Result<Window> {
        Window::new(&self.vm)
    }

    /// As [`Vm::write_one_in`], of a slot that may reach beyond what the guest can address.
    pub fn write_beyond(&mut self, window: &Window, pages: u64) -> Result<u64> {
        let (size, stride) = (self.slot.size, pages * PAGE_4K);
        for part in (0..size).step_by(PAGE_1G as usize) {
            let seen = part.next_multiple_of(stride)..size.min(part + PAGE_1G);
            if !seen.is_empty() {
                window.show(&self.vcpu, self.slot.gpa + part)?;
                let range = seen.start - part + BASE..seen.end - part + BASE;
                // The program has 32 bits for it.
                let stride = stride.min(PAGE_1G);
                let regs = guest::pass(Program::Increment, &range, stride, Pattern::Same, 0);
                self.vcpu.run(&regs)?;
            }
        }
        Ok(size.div_ceil(stride))
    }

    /// Lets the guest read or write in every page.
    pub fn touch(&mut self, access: Program) -> Result<()> {
        let regs = guest::pass(access, &self.slot.range(), PAGE_4K, Pattern::Same, 0);
        self.vcpu.run(&regs).map(drop)
    }

    /// Lets the guest write to one in so many pages. Returns to how many.
    pub fn write_one_in(&mut self, pages: u64) -> Result<u64> {
        let (range, stride) = (self.slot.range(), pages * PAGE_4K);
        let regs = guest::pass(Program::Increment, &range, stride, Pattern::Same, 0);
        self.vcpu.run(&regs)?;
        Ok((range.end - range.start).div_ceil(stride))
    }

    /// Lets the guest write to each of its `pages`, and demands that each write is a fault that goes
    /// this way.
    pub fn fault_in_all(&mut self, pages: u64, path: Path) -> Result<()> {
        let before = self.vcpu.fast_faults()?;
        let faults = self.vcpu.faults()?;
        self.touch(Program::Increment)?;
        let fast = self.vcpu.fast_faults()? - before;
        let all = self.vcpu.faults()? - faults;
        let wanted = if path == Path::Fast { pages } else { 0 };
        ensure!(
            all >= pages && fast == wanted,
            "{all} faults on {pages} pages, {fast} by the fast path"
        );
        Ok(())
    }

    /// The dirty log; without [`Vm::start_logs_set`] this makes the pages clean, too.
    pub fn get_log(&self) -> Result<Vec<u64>> {
        self.vm.get_log(&self.slot)
    }

    /// Makes the pages clean that are set in `log`.
    pub fn clear_log(&self, log: &mut [u64]) -> Result<()> {
        let pages = self.slot.size / PAGE_4K;
        self.vm.clear_log(&self.slot, 0, pages, log)
    }

    /// The same with a call for each word.
    pub fn clear_words(&self, log: &mut [u64]) -> Result<()> {
        for (first, word) in (0..).step_by(64).zip(log.chunks_mut(1)) {
            self.vm.clear_log(&self.slot, first, 64, word)?;
        }
        Ok(())
    }

    /// Has the kernel write the guest's time to the first page of the slot.
    pub fn keep_clock(&self) -> Result<()> {
        self.vcpu.set_clock(self.slot.gpa)
    }

    /// The guest takes the host for Xen.
    pub fn speak_xen(&self) -> Result<()> {
        xen::enable(&self.vm)
    }

    /// And to the next two, as Xen would.
    pub fn keep_clocks_of_xen(&self) -> Result<()> {
        for (area, page) in [(Area::Info, 1), (Area::Time, 2)] {
            let gpa = self.slot.gpa + page * PAGE_4K;
            xen::set_area(&self.vcpu, area, Some(gpa)).context("setting an area")?;
        }
        Ok(())
    }

    /// Has the kernel write the time so often, each time on the way into the guest.
    pub fn update_clock(&mut self, times: u64) -> Result<()> {
        let last = self.slot.range().end - PAGE_4K..self.slot.range().end;
        let regs = guest::pass(Program::Read, &last, PAGE_4K, Pattern::Same, 0);
        for _ in 0..times {
            self.vcpu.fd.kvmclock_ctrl().context("KVM_KVMCLOCK_CTRL")?;
            self.vcpu.run(&regs)?;
        }
        Ok(())
    }

    /// Checks the page tables, so that the end of the VM is KVM's work alone.
    pub fn check_early(&mut self) -> Result<()> {
        self.vm.check_early()
    }

    /// Ends the VM.
    pub fn end(self) {
        drop(self);
    }
}
