// SPDX-License-Identifier: GPL-2.0

//! System management mode has an address space of its own, with slots and logs of its own.

use super::maps::runs;
use super::test;
use crate::harness::{Skip, Test};
use crate::log;
use anyhow::{bail, ensure, Result};
use kvm_bindings::{KVM_CAP_X86_SMM, KVM_MEM_LOG_DIRTY_PAGES as LOG};
use kvm_ioctls::Kvm;
use kvmtest::guest::{self, Pattern, Program, CODE, SMM_CODE};
use kvmtest::memory::{Backing, Memory, KIB, MIB, PAGE_2M, PAGE_4K};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{eager_split, Slot, Vm, BASE};
use std::ops::Range;

pub const TESTS: &[Test] = &[test("smm_dirty_log", dirty_log), test("smm_map", map)];

/// Slot numbers of the second address space.
const SMM: u32 = 1 << 16;
/// Where the processor's state goes while in system management mode, and the handler is.
const SMRAM: Range<u64> = 0x30000..0x40000;
const SIZE: u64 = 2 * PAGE_2M;

/// The same guest-physical memory in both address spaces, in different memory of the host.
struct Spaces {
    vm: Vm,
    vcpu: Vcpu,
    normal: Memory,
    smm: Memory,
    /// Of the host's memory under SMRAM.
    _smram: Memory,
}

impl Spaces {
    fn new(backend: &str) -> Result<Self> {
        let (normal, smm) = (
            Memory::new(SIZE, Backing::Huge)?,
            Memory::new(SIZE, Backing::Huge)?,
        );
        let smram = Memory::new(64 * KIB, Backing::Small)?;
        smram.write(SMM_CODE - SMRAM.start, guest::smm_code());
        let (vm, vcpu) = Vm::with(backend, &normal)?;
        vm.set(&smm_slot(&smm), 0)?;
        let state = Slot {
            id: SMM,
            gpa: SMRAM.start,
            hva: smram.address(),
            size: smram.size(),
        };
        vm.set(&state, 0)?;
        Ok(Self {
            vm,
            vcpu,
            normal,
            smm,
            _smram: smram,
        })
    }

    /// Fills `range` with `round`, and in system management mode with the complement.
    fn fill(&mut self, range: &Range<u64>, round: u32) -> Result<()> {
        self.vcpu.fd.smi()?;
        let regs = guest::pass(Program::Fill, range, PAGE_4K, Pattern::Distinct, round);
        let ended = self.vcpu.run(&regs)?;
        ensure!(
            ended.rax as u32 == round,
            "registers changed in system management mode"
        );
        let offset = range.start - BASE;
        let wanted = [round, !round].map(|round| Pattern::Distinct.word(range.start, round));
        let found = [self.normal.load(offset), self.smm.load(offset)];
        ensure!(
            found == wanted,
            "normal and SMM memory hold {found:x?} instead of {wanted:x?}"
        );
        Ok(())
    }

    fn logs(&self) -> Result<[Vec<u64>; 2]> {
        let get = |slot: &Slot| -> Result<Vec<u64>> { Ok(log::pages(&self.vm.get_log(slot)?)) };
        Ok([get(&Slot::of(&self.normal))?, get(&smm_slot(&self.smm))?])
    }
}

/// Each address space has a root, which maps what was used in it.
fn map(backend: &str) -> Result<()> {
    needs_smm()?;
    let mut spaces = Spaces::new(backend)?;
    spaces.fill(&(BASE..BASE + PAGE_2M), 1)?;
    let program = |address: u64| (address / PAGE_4K..address / PAGE_4K + 1, "4K");
    let memory = || (BASE / PAGE_4K..(BASE + PAGE_2M) / PAGE_4K, "2M");
    for (space, code) in [(0, CODE), (1, SMM_CODE)] {
        let runs = runs(&spaces.vm.inside.map()?, space)?;
        let found: Vec<_> = runs
            .iter()
            .map(|run| (run.frames.clone(), run.size.as_str()))
            .collect();
        let wanted = [program(code), memory()];
        ensure!(
            found == wanted,
            "space {space} has {found:x?} instead of {wanted:x?}"
        );
    }
    Ok(())
}

fn needs_smm() -> Result<()> {
    if Kvm::new()?.check_extension_raw(KVM_CAP_X86_SMM.into()) == 0 {
        bail!(Skip("KVM has no system management mode".into()));
    }
    Ok(())
}

/// Logging in one address space is none of the other's business.
fn dirty_log(backend: &str) -> Result<()> {
    needs_smm()?;
    let mut spaces = Spaces::new(backend)?;
    let _split = eager_split(true)?;
    let all = BASE..BASE + SIZE;
    spaces.fill(&all, 1)?;
    let mapped = spaces.vm.mapped()?;
    ensure!(
        mapped[1] == 2 * SIZE / PAGE_2M,
        "{mapped:?} pages, not each address space its own"
    );
    spaces.vm.set(&smm_slot(&spaces.smm), LOG)?;
    let mapped = spaces.vm.mapped()?;
    ensure!(
        mapped[1] == SIZE / PAGE_2M,
        "{mapped:?} pages, not one address space split"
    );
    spaces.vm.set(&Slot::of(&spaces.normal), LOG)?;

    for round in 2..6 {
        let first = u64::from(round) * 100;
        let some = BASE + first * PAGE_4K..BASE + (first + 7) * PAGE_4K;
        spaces.fill(&some, round)?;
        let wanted: Vec<u64> = (first..first + 7).collect();
        ensure!(
            spaces.logs()? == [wanted.clone(), wanted],
            "the logs are not what was written"
        );
        spaces
            .vcpu
            .fill(&(BASE + MIB..BASE + MIB + PAGE_4K), round)?;
        let only = vec![MIB / PAGE_4K];
        ensure!(
            spaces.logs()? == [only, vec![]],
            "a write shows in the other address space"
        );
    }
    spaces.vm.set(&smm_slot(&spaces.smm), 0)?;
    spaces.vm.set(&Slot::of(&spaces.normal), 0)?;
    let mapped = spaces.vm.mapped()?;
    ensure!(
        mapped[1] == 2 * SIZE / PAGE_2M,
        "{mapped:?} pages, not all huge again"
    );
    Ok(())
}

fn smm_slot(memory: &Memory) -> Slot {
    let slot = Slot::of(memory);
    Slot {
        id: SMM | slot.id,
        ..slot
    }
}
