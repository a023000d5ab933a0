// SPDX-License-Identifier: GPL-2.0

//! A VM under stress: two vCPUs, memory that keeps its content, and memory that is taken away.
//!
//! The first vCPU goes over the kept memory, and finds in each page what it wrote there the last
//! time. The second does the same with another word of the same pages, or copies words in the
//! other memory, so that the host sees which page it uses.

use super::seen::{Effect, Seen};
use crate::refusal::{Denials, Denied, InternalError};
use anyhow::{bail, ensure, Context, Result};
use kvm_bindings::{kvm_regs, KVM_MEM_LOG_DIRTY_PAGES as LOG};
use kvm_ioctls::VcpuExit;
use kvmtest::guest::{self, Pattern, Program, FAIL_PORT};
use kvmtest::memory::{Backing, Memory, KIB, PAGE_2M, PAGE_4K};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Slot, Vm, BASE, SLOT};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::yield_now;

/// Where the words of each vCPU are in a page of the kept memory.
pub const WORDS: [u64; 2] = [0, 64];
/// From one word that the second vCPU copies to the next.
pub const ECHO_STRIDE: u64 = 64 * KIB;

const KEPT_SIZE: u64 = 2 * PAGE_2M;
const TAKEN_SIZE: u64 = PAGE_2M;

/// The backend of new VMs is one setting for all threads.
static CHOICE: Mutex<()> = Mutex::new(());

/// Memory of the host and the slot that shows it to the guest.
pub struct Area {
    /// The host's side.
    pub memory: Memory,
    /// The guest's, when it is there and in its place.
    pub slot: Slot,
}

impl Area {
    fn new(id: u32, gpa: u64, size: u64, backing: Backing) -> Result<Self> {
        let memory = Memory::new(size, backing)?;
        let slot = Slot {
            id,
            gpa,
            ..Slot::of(&memory)
        };
        Ok(Self { memory, slot })
    }
}

/// Kept memory is inaccessible to this process, and perhaps to KVM.
pub struct LockedOut<'a> {
    _denied: Denied<'a>,
    _access: RwLockWriteGuard<'a, ()>,
}

/// What the vCPUs' threads and the host's share.
pub struct Machine {
    /// The VM.
    pub vm: Vm,
    /// Nothing changes its content but the guest.
    pub kept: Area,
    /// The host takes its pages away.
    pub taken: Area,
    /// What the kept memory holds.
    pub pattern: Pattern,
    /// What has happened to it.
    pub seen: Seen,
    /// Held for writing by who makes kept memory inaccessible to this process.
    access: RwLock<()>,
    denials: Denials,
    /// A vCPU has found something wrong.
    failed: AtomicBool,
}

impl Machine {
    /// A VM on `backend` and its vCPUs.
    pub fn new(backend: &str, backing: Backing, pattern: Pattern) -> Result<(Self, [Vcpu; 2])> {
        let chosen = CHOICE.lock().expect("nobody panics with the choice");
        let vm = Vm::new(backend)?;
        drop(chosen);
        let kept = Area::new(SLOT, BASE, KEPT_SIZE, backing)?;
        let taken = Area::new(SLOT + 1, BASE + KEPT_SIZE, TAKEN_SIZE, backing)?;
        for area in [&kept, &taken] {
            vm.set(&area.slot, 0)?;
        }
        let vcpus = [vm.vcpu(0)?, vm.vcpu(1)?];
        let machine = Self {
            vm,
            kept,
            taken,
            pattern,
            seen: Seen::default(),
            access: RwLock::new(()),
            denials: Denials::default(),
            failed: AtomicBool::new(false),
        };
        Ok((machine, vcpus))
    }

    /// Whether a vCPU has ended early.
    pub fn failed(&self) -> bool {
        self.failed.load(SeqCst)
    }

    /// For who makes kept memory inaccessible to this process.
    pub fn lock_out(&self) -> LockedOut<'_> {
        let access = self.access.write().expect("nobody panics with the lock");
        LockedOut {
            _denied: self.denials.begin(),
            _access: access,
        }
    }

    /// For who uses kept memory from this process.
    pub fn let_in(&self) -> RwLockReadGuard<'_, ()> {
        self.access.read().expect("nobody panics with the lock")
    }

    /// Has the kept memory's dirty pages logged.
    pub fn start_log(&self) -> Result<()> {
        let [_, before, _] = self.vm.mapped()?;
        self.vm.set(&self.kept.slot, LOG)?;
        let [_, after, _] = self.vm.mapped()?;
        self.seen.add(Effect::Split, before.saturating_sub(after));
        Ok(())
    }

    /// No more; what was split becomes huge pages again.
    pub fn end_log(&self) -> Result<()> {
        let [_, before, _] = self.vm.mapped()?;
        self.vm.set(&self.kept.slot, 0)?;
        let [_, after, _] = self.vm.mapped()?;
        let recovered = after.saturating_sub(before);
        self.seen.add(Effect::Recovered, recovered);
        Ok(())
    }

    /// Registers for a program over the kept memory, with the words of vCPU `index`.
    pub fn over_kept(&self, program: Program, index: usize, round: u32) -> kvm_regs {
        let all = self.kept.slot.range();
        let range = all.start + WORDS[index]..all.end;
        guest::pass(program, &range, PAGE_4K, self.pattern, round)
    }

    /// Registers for the program that copies words in the other memory.
    pub fn over_taken(&self) -> kvm_regs {
        let range = self.taken.slot.range();
        guest::pass(Program::Echo, &range, ECHO_STRIDE, Pattern::Same, 0)
    }

    /// Runs a vCPU until its program ends. What is in no slot right now is read and written for
    /// the guest from here; memory that this process must not use now is tried again.
    pub fn run(&self, vcpu: &mut Vcpu, regs: &kvm_regs) -> Result<kvm_regs> {
        let ended = self.run_to_halt(vcpu, regs);
        if ended.is_err() {
            self.failed.store(true, SeqCst);
        }
        ended
    }

    fn run_to_halt(&self, vcpu: &mut Vcpu, regs: &kvm_regs) -> Result<kvm_regs> {
        vcpu.fd.set_regs(regs)?;
        loop {
            let before = self.denials.now();
            match vcpu.fd.run() {
                Ok(VcpuExit::Hlt) => return Ok(vcpu.fd.get_regs()?),
                Ok(VcpuExit::IoOut(FAIL_PORT, _)) => bail!(self.wrong(&vcpu.fd.get_regs()?)),
                Ok(VcpuExit::MmioRead(gpa, data)) => {
                    data.copy_from_slice(&self.load(gpa, data.len())?.to_le_bytes())
                }
                Ok(VcpuExit::MmioWrite(gpa, data)) => self.store(gpa, data)?,
                Ok(VcpuExit::InternalError) => {
                    let error = InternalError::of(vcpu.fd.get_kvm_run());
                    let denied = self.denials.any_since(before);
                    ensure!(
                        error.is_emulation() && denied,
                        "the guest stopped with {error}"
                    );
                    println!("# while memory was being protected: {error}");
                    yield_now();
                }
                Ok(other) => bail!("the guest stopped with {other:?}"),
                Err(error) if error.errno() == libc::EINTR => {}
                Err(error) if error.errno() == libc::EFAULT && self.denials.any_since(before) => {
                    self.seen.add(Effect::Denied, 1);
                    yield_now();
                }
                Err(error) => return Err(error).context("KVM_RUN"),
            }
        }
    }

    fn load(&self, gpa: u64, length: usize) -> Result<u32> {
        ensure!(length == 4, "the guest reads {length} bytes at {gpa:#x}");
        let (memory, offset) = self.place(gpa)?;
        let _access = self.let_in();
        Ok(memory.load(offset))
    }

    fn store(&self, gpa: u64, data: &[u8]) -> Result<()> {
        let word = data.try_into().map(u32::from_le_bytes);
        let word = word.with_context(|| format!("the guest writes {data:?} at {gpa:#x}"))?;
        let (memory, offset) = self.place(gpa)?;
        let _access = self.let_in();
        memory.store(offset, word);
        Ok(())
    }

    fn place(&self, gpa: u64) -> Result<(&Memory, u64)> {
        let mut areas = [&self.kept, &self.taken].into_iter();
        let area = areas.find(|area| area.slot.range().contains(&gpa));
        let area = area.with_context(|| format!("the guest uses {gpa:#x}, where nothing is"))?;
        self.seen.add(Effect::NoSlot, 1);
        Ok((&area.memory, gpa - area.slot.gpa))
    }

    fn wrong(&self, regs: &kvm_regs) -> String {
        let (gpa, round) = (regs.rsi, regs.rax as u32);
        let wanted = self.pattern.word(gpa, round);
        let here = self
            .load(gpa, 4)
            .map_or("nothing".into(), |word| format!("{word:#x}"));
        format!("the guest found a wrong word at {gpa:#x}: wanted {wanted:#x} (round {round}), the host finds {here}")
    }

    /// Every word of the kept memory is what the vCPUs wrote last.
    pub fn verify(&self, rounds: [u32; 2]) -> Result<()> {
        for (page, gpa) in pages(&self.kept) {
            for (word, round) in WORDS.into_iter().zip(rounds) {
                let (wanted, found) = (
                    self.pattern.word(gpa + word, round),
                    self.kept.memory.load(page + word),
                );
                ensure!(
                    wanted == found,
                    "the host found {found:#x} at {:#x}: wanted {wanted:#x} (round {round})",
                    gpa + word
                );
            }
        }
        Ok(())
    }
}

/// Offset and guest-physical address of each page.
pub fn pages(area: &Area) -> impl Iterator<Item = (u64, u64)> {
    let Range { start, end } = area.slot.range();
    (start..end)
        .step_by(PAGE_4K as usize)
        .map(move |gpa| (gpa - start, gpa))
}
