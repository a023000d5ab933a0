// SPDX-License-Identifier: GPL-2.0

//! A vCPU that runs the programs of [`guest`].

use crate::guest::{self, Pattern, Program, DONE_PORT, FAIL_PORT};
use crate::ioctls::KVM_PRE_FAULT_MEMORY;
use crate::memory::PAGE_4K;
use crate::stats::Stats;
use anyhow::{bail, ensure, Context, Result};
use kvm_bindings::{kvm_msr_entry, kvm_pre_fault_memory, kvm_regs, Msrs};
use kvm_ioctls::{VcpuExit, VcpuFd};
use std::io::Error;
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};
use std::thread::yield_now;
use vmm_sys_util::ioctl::ioctl_with_mut_ref;

/// The bit of CR4 that costs nothing to change, and flushes the TLB.
const CR4_PGE: u64 = 1 << 7;

/// The MSR that says where the guest's clock is.
const MSR_KVM_SYSTEM_TIME_NEW: u32 = 0x4b56_4d01;
/// In there: it is in use.
const CLOCK_ON: u64 = 1;

/// How a probe of an address without memory looks from outside.
#[derive(Debug, PartialEq)]
pub enum Probed {
    /// There was memory, and it held this.
    Memory(u32),
    /// The write and the read came out as MMIO.
    Mmio,
    /// The write came out as MMIO, the read found this: memory that is read-only.
    ReadOnly(u32),
}

/// A vCPU.
pub struct Vcpu {
    /// What kvm-ioctls makes of it.
    pub fd: VcpuFd,
    /// Its statistics.
    pub stats: Stats,
    /// KVM_RUN may find memory that the guest must not use, and is to be tried again then.
    pub patient: bool,
}

/// What another thread may use while this one runs it: calls take turns.
impl AsRawFd for Vcpu {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl Vcpu {
    /// Makes it ready to run programs.
    pub fn new(fd: VcpuFd) -> Result<Self> {
        fd.set_sregs(&guest::protected_mode(fd.get_sregs()?))?;
        let stats = Stats::of(&fd)?;
        let patient = false;
        Ok(Self { fd, stats, patient })
    }

    /// Has the kernel keep a clock at `gpa`.
    pub fn set_clock(&self, gpa: u64) -> Result<()> {
        let set = self.set_msr(MSR_KVM_SYSTEM_TIME_NEW, gpa | CLOCK_ON);
        set.context("setting a clock")
    }

    /// Writes an MSR.
    pub fn set_msr(&self, index: u32, data: u64) -> Result<()> {
        let msr = kvm_msr_entry {
            index,
            data,
            ..Default::default()
        };
        let written = self.fd.set_msrs(&Msrs::from_entries(&[msr])?)?;
        ensure!(written == 1, "KVM refuses to write the MSR {index:#x}");
        Ok(())
    }

    /// Runs until the guest halts or says that it is done, and gives its registers.
    pub fn run(&mut self, regs: &kvm_regs) -> Result<kvm_regs> {
        self.fd.set_regs(regs)?;
        loop {
            match self.fd.run() {
                Ok(VcpuExit::Hlt | VcpuExit::IoOut(DONE_PORT, _)) => {
                    return Ok(self.fd.get_regs()?)
                }
                Ok(VcpuExit::IoOut(FAIL_PORT, _)) => bail!(wrong(&self.fd.get_regs()?)),
                Ok(VcpuExit::MemoryFault { .. }) if self.patient => yield_now(),
                Ok(other) => bail!("the guest stopped with {other:?}"),
                Err(error) if error.errno() == libc::EINTR => {}
                Err(error) if error.errno() == libc::EFAULT && self.patient => yield_now(),
                Err(error) => return Err(error).context("KVM_RUN"),
            }
        }
    }

    /// Stores `round` in each page of `range`.
    pub fn fill(&mut self, range: &Range<u64>, round: u32) -> Result<()> {
        self.fill_some(range, 1, round)
    }

    /// Stores `round` in the first page of `range`, and in each one that is `apart` pages from the one before.
    pub fn fill_some(&mut self, range: &Range<u64>, apart: u64, round: u32) -> Result<()> {
        let stride = apart * PAGE_4K;
        let regs = guest::pass(Program::Fill, range, stride, Pattern::Distinct, round);
        self.run(&regs).map(drop)
    }

    /// Finds in each page of `range` what a fill with `round` stored.
    pub fn check(&mut self, range: &Range<u64>, round: u32) -> Result<()> {
        let regs = guest::pass(Program::Check, range, PAGE_4K, Pattern::Distinct, round);
        self.run(&regs).map(drop)
    }

    /// Increments what [`guest::scatter`] says.
    pub fn scatter(
        &mut self,
        base: u64,
        pages: u64,
        offset: u64,
        seed: u32,
        count: u32,
    ) -> Result<()> {
        self.run(&guest::scatter(base, pages, offset, seed, count))
            .map(drop)
    }

    /// Writes `value` to `gpa` and reads it back. What is read from MMIO is the complement.
    pub fn probe(&mut self, gpa: u64, value: u32) -> Result<Probed> {
        self.fd.set_regs(&guest::probe(gpa, value))?;
        let (mut written, mut read) = (false, false);
        loop {
            match self.fd.run().context("KVM_RUN")? {
                VcpuExit::MmioWrite(place, data) => {
                    ensure!((place, data) == (gpa, &value.to_le_bytes()[..]) && !written);
                    written = true;
                }
                VcpuExit::MmioRead(place, data) => {
                    ensure!(place == gpa && !read, "MMIO reads {place:#x}");
                    data.copy_from_slice(&(!value).to_le_bytes());
                    read = true;
                }
                VcpuExit::Hlt => {
                    return probed(written, read, value, self.fd.get_regs()?.rdx as u32)
                }
                other => bail!("the guest stopped with {other:?}"),
            }
        }
    }

    /// Maps `range` without running the guest.
    pub fn populate(&self, range: &Range<u64>) -> Result<()> {
        let mut left = kvm_pre_fault_memory {
            gpa: range.start,
            size: range.end - range.start,
            ..Default::default()
        };
        while left.size != 0 {
            // SAFETY: the kernel updates `left`, and maps memory for the guest.
            let failed = unsafe { ioctl_with_mut_ref(&self.fd, KVM_PRE_FAULT_MEMORY(), &mut left) };
            ensure!(
                failed == 0,
                "KVM_PRE_FAULT_MEMORY: {}",
                Error::last_os_error()
            );
        }
        Ok(())
    }

    /// Empties its TLB: a processor need not set an accessed bit again that it set before.
    pub fn flush_tlb(&self) -> Result<()> {
        let mut sregs = self.fd.get_sregs()?;
        sregs.cr4 ^= CR4_PGE;
        Ok(self.fd.set_sregs(&sregs)?)
    }

    /// Page faults so far.
    pub fn faults(&self) -> Result<u64> {
        self.stats.get("pf_taken")
    }

    /// Those that gave back a right that was taken away, and looked at nothing else.
    pub fn fast_faults(&self) -> Result<u64> {
        self.stats.get("pf_fast")
    }

    /// Page faults during `work`.
    pub fn faults_of(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<u64> {
        let before = self.faults()?;
        work(self)?;
        Ok(self.faults()? - before)
    }
}

fn wrong(regs: &kvm_regs) -> String {
    format!(
        "the guest found a wrong word at {:#x} (round {})",
        regs.rsi, regs.rax as u32
    )
}

fn probed(written: bool, read: bool, value: u32, found: u32) -> Result<Probed> {
    match (written, read) {
        (false, false) => Ok(Probed::Memory(found)),
        (true, false) => Ok(Probed::ReadOnly(found)),
        (true, true) if found == !value => Ok(Probed::Mmio),
        (true, true) => bail!("MMIO read {found:#x} instead of {:#x}", !value),
        (false, true) => bail!("the write went to memory, the read to MMIO"),
    }
}
