// SPDX-License-Identifier: GPL-2.0

//! One VM of the two, and what each step comes to in it.

use super::machine::{Answer, Machine};
use super::op::{Op, Setup, MEMORY};
use super::view::{without_dirty, View, REPEATED, TAKEN, VCPU_FIGURES, VM_FIGURES};
use crate::rng::Rng;
use anyhow::{bail, ensure, Context, Result};
use kvm_bindings::{kvm_regs, KVM_MEM_LOG_DIRTY_PAGES as LOG};
use kvm_ioctls::VcpuExit;
use kvmtest::guest::{self, Pattern};
use kvmtest::memory::{Memory, Rights, PAGE_4K};
use kvmtest::sysfs::{self, EAGER_SPLIT, NX_HUGE_PAGES};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Slot, Vm};
use std::collections::BTreeMap;
use std::ops::Range;

/// A VM with one vCPU, and the slots that it has.
pub struct Side {
    vm: Vm,
    vcpu: Vcpu,
    memory: Memory,
    slots: BTreeMap<u32, (Slot, u32)>,
    /// There was a log. From then on dirty bits may differ on purpose: where a fault splits a huge page
    /// of a logged slot, Rust makes the small pages clean, and C copies the bit (docs/design.md).
    logged: bool,
}

impl Machine for Side {
    type Setup = Setup;
    type Op = Op;

    fn setup(rng: &mut Rng) -> Setup {
        Setup::random(rng)
    }

    fn op(rng: &mut Rng, first: bool) -> Op {
        if first {
            Op::first()
        } else {
            Op::random(rng)
        }
    }

    fn simpler(op: &Op) -> Vec<Op> {
        op.simpler()
    }

    fn kind(op: &Op) -> String {
        op.kind()
    }

    fn global(op: &Op) -> Result<()> {
        match op {
            Op::Nx(on) => sysfs::write(NX_HUGE_PAGES, if *on { "force" } else { "off" }),
            Op::EagerSplit(on) => sysfs::write(EAGER_SPLIT, if *on { "Y" } else { "N" }),
            _ => Ok(()),
        }
    }

    fn new(backend: &str, setup: &Setup) -> Result<Self> {
        let memory = Memory::new(MEMORY, setup.backing)?;
        let vm = Vm::new(backend)?;
        vm.set_log_mode(setup.log_mode)?;
        if setup.by_range {
            vm.delete_slots_by_range()?;
        }
        Ok(Self {
            vcpu: vm.vcpu(0)?,
            vm,
            memory,
            slots: BTreeMap::new(),
            logged: false,
        })
    }

    fn step(&mut self, op: &Op) -> Answer {
        self.try_step(op).map_err(|error| format!("{error:#}"))
    }

    fn differences(&self, other: &Self, names: [&str; 2]) -> Result<Vec<String>> {
        Ok(self.view()?.differences(&other.view()?, names))
    }

    /// The memory, and whether the page tables are sound.
    fn at_the_end(sides: &[Self; 2], names: [&str; 2]) -> Result<Vec<String>> {
        let mut what = Vec::new();
        for (side, name) in sides.iter().zip(names) {
            what.extend(wrong(&side.vm, name)?);
        }
        let [one, two] = [sides[0].memory()?, sides[1].memory()?];
        if one != two {
            let place = one.iter().zip(&two).position(|(one, two)| one != two);
            what.push(format!("memory at {place:x?}"));
        }
        Ok(what)
    }
}

/// What is wrong with the page tables.
pub fn wrong(vm: &Vm, name: &str) -> Result<Vec<String>> {
    let wrong = vm.inside.wrong()?;
    let wrong = wrong.context("no backend is there to check page tables")?;
    let lines = wrong.iter();
    Ok(lines
        .map(|line| format!("mmu_check on {name}: {line}"))
        .collect())
}

impl Side {
    fn try_step(&mut self, op: &Op) -> Result<String> {
        match op {
            Op::Create(slot, flags) => self.create(slot, *flags)?,
            Op::Delete(id) => self.change(*id, |slot, flags| (Slot { size: 0, ..slot }, flags))?,
            Op::Move(id, gpa) => {
                self.change(*id, |slot, flags| (Slot { gpa: *gpa, ..slot }, flags))?
            }
            Op::Flags(id, flags) => self.change(*id, |slot, _| (slot, *flags))?,
            Op::GetLog(id) => return self.get_log(*id),
            Op::ClearLog(id, pages, bits) => self.clear_log(*id, pages, *bits)?,
            Op::Prefault(range) => self.prefault(range)?,
            Op::Advise(advice, part) => self.memory.advise(part.clone(), *advice)?,
            Op::Protect(rights, part) => self.memory.protect(part.clone(), *rights)?,
            Op::Guest(program, range, stride, round) => {
                let pattern = Pattern::Distinct;
                return self.run(&guest::pass(*program, range, *stride, pattern, *round));
            }
            // These are done once for both VMs.
            Op::Nx(_) | Op::EagerSplit(_) => {}
        }
        Ok("done".into())
    }

    fn create(&mut self, slot: &Slot, flags: u32) -> Result<()> {
        ensure!(!self.slots.contains_key(&slot.id), "the slot is there");
        let hva = self.memory.address() + slot.hva;
        self.set(Slot { hva, ..*slot }, flags)
    }

    fn change(&mut self, id: u32, to: impl FnOnce(Slot, u32) -> (Slot, u32)) -> Result<()> {
        let (slot, flags) = self.slot(id)?;
        let (slot, flags) = to(slot, flags);
        self.set(slot, flags)
    }

    fn set(&mut self, slot: Slot, flags: u32) -> Result<()> {
        self.vm.set(&slot, flags)?;
        self.logged |= flags & LOG != 0;
        if slot.size == 0 {
            self.slots.remove(&slot.id);
        } else {
            self.slots.insert(slot.id, (slot, flags));
        }
        Ok(())
    }

    fn slot(&self, id: u32) -> Result<(Slot, u32)> {
        self.slots.get(&id).copied().context("there is no slot")
    }

    fn get_log(&self, id: u32) -> Result<String> {
        let log = self.vm.get_log(&self.slot(id)?.0)?;
        Ok(format!("{log:x?}"))
    }

    fn clear_log(&self, id: u32, pages: &Range<u64>, bits: u64) -> Result<()> {
        let (slot, _) = self.slot(id)?;
        let count = pages
            .end
            .min(slot.size / PAGE_4K)
            .saturating_sub(pages.start);
        let mut log = vec![bits; count.div_ceil(64) as usize];
        self.vm.clear_log(&slot, pages.start, count, &mut log)
    }

    /// C marks what it maps in advance as dirty, and Rust does not (docs/upstream/03-prefault-ring.md). So
    /// where there is a log this is left out.
    fn prefault(&self, range: &Range<u64>) -> Result<()> {
        let logged = self.slots.values().any(|(slot, flags)| {
            let there = slot.range();
            flags & LOG != 0 && there.start < range.end && range.start < there.end
        });
        ensure!(!logged, "left out: a slot is logged");
        self.vcpu.populate(range)
    }

    /// Runs the guest until it halts or cannot go on. What it reads where no memory is depends on the
    /// address.
    fn run(&mut self, regs: &kvm_regs) -> Result<String> {
        self.vcpu.fd.set_regs(regs)?;
        let mut exits = Vec::new();
        let ended = loop {
            match self.vcpu.fd.run() {
                Ok(VcpuExit::Hlt) => break Ok(()),
                Ok(VcpuExit::MmioRead(gpa, data)) => {
                    exits.push(format!("reads {gpa:#x}"));
                    data.copy_from_slice(&(gpa as u32).rotate_left(7).to_le_bytes());
                }
                Ok(VcpuExit::MmioWrite(gpa, data)) => {
                    exits.push(format!("writes {data:x?} to {gpa:#x}"))
                }
                Ok(other) => bail!("{exits:?}, then {other:?}"),
                Err(error) if error.errno() == libc::EINTR => {}
                Err(error) => break Err(error),
            }
        };
        let seen = format!("exits {exits:?}, {:x?}", self.vcpu.fd.get_regs()?);
        ended.with_context(|| format!("KVM_RUN: {seen}"))?;
        Ok(seen)
    }

    /// Everything that can be seen now.
    fn view(&self) -> Result<View> {
        let vm = VM_FIGURES.iter().map(|name| self.vm.stats.get(name));
        let vcpu = VCPU_FIGURES.iter().map(|name| self.figure(name));
        let map = self.vm.inside.map()?;
        Ok(View {
            figures: vm.chain(vcpu).collect::<Result<_>>()?,
            map: if self.logged { without_dirty(map) } else { map },
        })
    }

    /// Of the vCPU.
    fn figure(&self, name: &str) -> Result<u64> {
        let figure = self.vcpu.stats.get(name)?;
        if name != TAKEN {
            return Ok(figure);
        }
        Ok(figure - self.vcpu.stats.get(REPEATED)?)
    }

    /// The memory, which nobody protects any more.
    fn memory(&self) -> Result<Vec<u8>> {
        self.memory.protect(0..MEMORY, Rights::All)?;
        Ok(self.memory.read())
    }
}
